"""jaxresp: from stethoscope recordings to a served, honestly evaluated answer, in JAX.

A research toolkit, not a medical device. Importing the package pulls in no framework beyond JAX;
the modules do, each its own (see README.md, "The house").
"""

from jaxresp import xla_faults

__version__ = "0.1.0"

xla_faults.switch_off()
