"""NumPyro imports tqdm's automatic bars, which warn in a notebook without ipywidgets, where plain ones do as well."""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="IProgress not found")
    import tqdm.auto  # noqa: F401  # once loaded it does not warn again
