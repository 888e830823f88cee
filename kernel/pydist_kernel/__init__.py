"""The Jupyter kernel that is process 1 of a pydist cluster, and the command ``pydist``.

__main__      python -m pydist_kernel: the kernel itself, and its install and uninstall
_app          the kernel process: command line, configuration, workers at start
_kernel       the kernel: interrupt, shutdown, what the first cell waits for
_shell        IPython's shell, with an interrupted cell told apart from a cancelled one
_interrupts   where a press of the interrupt button strikes
_startup      workers asked for before the first cell
_install      the kernelspec
cli, _cli_*   the command pydist
"""
