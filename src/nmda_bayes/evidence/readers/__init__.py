"""Other packages' tables, each layout a value in a catalogue, all made into flat rows.

A table is read as text, its layout found by its columns, and turned into the project's own flat
table, which is checked by the one path that exists. What is wrong is then told in the words of the
user's table: its file, its row, its column.
"""

from nmda_bayes.evidence.readers import escalc as escalc
from nmda_bayes.evidence.readers import gemtc as gemtc
from nmda_bayes.evidence.readers import mbnmadose as mbnmadose
from nmda_bayes.evidence.readers import multinma as multinma
from nmda_bayes.evidence.readers import netmeta as netmeta
from nmda_bayes.evidence.readers import persons as persons
from nmda_bayes.evidence.readers import revman as revman
from nmda_bayes.evidence.readers.catalogue import READERS, Reader, conventions, reader
from nmda_bayes.evidence.readers.own import load_own
from nmda_bayes.evidence.readers.said import Said, said

__all__ = ["READERS", "Reader", "Said", "conventions", "load_own", "reader", "said"]
