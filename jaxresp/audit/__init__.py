"""The leakage audit: how much of a published score may come from how it was measured.

The same network with the same settings is trained under the honest protocol and under each fault that papers on
respiratory sound commit (Kapoor & Narayanan, "Leakage and the reproducibility crisis in machine-learning-based
science", Patterns 4, 2023), and what each fault adds is told with its interval. Nothing of this is a way to work.

    faults.py            the faults by name: what each does, what does the same thing right, and where it must show
    leaking_training.py  trains under the honest protocol and under every fault, past jaxresp.sweep
    finding.py           what a fault adds, on the same units, with the interval of the paired patient bootstrap
    auditing.py          a corpus audited in a folder that can be continued
    printing.py          the table, for the terminal and in Markdown
"""

from jaxresp.audit.auditing import AuditConfig, audit
from jaxresp.audit.faults import FAULTS, AuditError, Fault
from jaxresp.audit.finding import Audit, Finding

__all__ = ["FAULTS", "Audit", "AuditConfig", "AuditError", "Fault", "Finding", "audit"]
