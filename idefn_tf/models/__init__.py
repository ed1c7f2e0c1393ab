"""Models: one file per method, each with its formula."""

from idefn_tf.models.all_negative import AllNegative
from idefn_tf.models.base import EntireSpaceModel
from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.click_only import ClickOnly
from idefn_tf.models.dcmt import DCMT
from idefn_tf.models.ddpo import DDPO
from idefn_tf.models.escim_ratio import ESCIMRatio
from idefn_tf.models.escm2_dr import ESCM2DR
from idefn_tf.models.escm2_ips import ESCM2IPS
from idefn_tf.models.esmm import ESMM
from idefn_tf.models.idefn import IdeFN, IdeFNT, explain_regime
from idefn_tf.models.mmoe import MMoE
from idefn_tf.models.multi_dr import MultiDR
from idefn_tf.models.multi_ipw import MultiIPW
from idefn_tf.models.nearest_positive import NearestPositive
from idefn_tf.models.nise import NISE
from idefn_tf.models.oracle_relabel import OracleRelabel
from idefn_tf.models.ple import PLE
from idefn_tf.models.random_relabel import RandomRelabel
from idefn_tf.models.registry import METHODS, get_method, method
from idefn_tf.models.top_k_cvr import TopKCVR
from idefn_tf.models.trunks import TRUNKS, MMoETrunk, PLETrunk, Trunk

__all__ = [
    "DCMT",
    "DDPO",
    "ESCM2DR",
    "ESCM2IPS",
    "ESMM",
    "METHODS",
    "NISE",
    "PLE",
    "TRUNKS",
    "AllNegative",
    "Batch",
    "ClickOnly",
    "ESCIMRatio",
    "EntireSpaceModel",
    "IdeFN",
    "IdeFNT",
    "MMoE",
    "MMoETrunk",
    "MultiDR",
    "MultiIPW",
    "NearestPositive",
    "OracleRelabel",
    "Outputs",
    "PLETrunk",
    "RandomRelabel",
    "TopKCVR",
    "Trunk",
    "explain_regime",
    "get_method",
    "method",
]
