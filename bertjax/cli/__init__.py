"""The command line; each verb is one small file with `add_arguments` and `run`."""
