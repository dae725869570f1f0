"""The page of total scattering; Streamlit is used nowhere else in the app."""
