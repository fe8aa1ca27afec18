"""Engines that lots of cases run on: this machine's cores, Slurm, Ray and Dask. `rnnbench.isolation` names them."""
