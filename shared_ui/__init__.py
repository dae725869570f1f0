"""Building blocks of the web pages: pickers, forms, plots, runs. It knows no technique."""
