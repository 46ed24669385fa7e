"""Many runs of one config: what to run (`grid`, `plan`), where (`local`, `dask`), and the table of it (`table`)."""
