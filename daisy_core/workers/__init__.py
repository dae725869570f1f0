"""Worker processes of one host: one pipe each, arrays handed over in shared memory, one death costs one task."""
