"""Where runs are trained: in this process, in others on this machine, or on an engine that knows many machines."""
