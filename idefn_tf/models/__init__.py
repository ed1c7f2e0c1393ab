"""Models: one file per method, each with its formula."""

from idefn_tf.models.batch import Batch, Outputs
from idefn_tf.models.controls.nearest_positive import NearestPositive
from idefn_tf.models.controls.oracle_relabel import OracleRelabel
from idefn_tf.models.controls.random_relabel import RandomRelabel
from idefn_tf.models.controls.top_k_cvr import TopKCVR
from idefn_tf.models.entire_space_model import EntireSpaceModel
from idefn_tf.models.feedback import (
    DEFERFeedback,
    DEFUSEFeedback,
    DFMFeedback,
    ESDFMFeedback,
    FNCFeedback,
    FNWFeedback,
    LabelLikelihood,
    ObservedFeedback,
    OracleFeedback,
    WaitFeedback,
    WeighFeedback,
)
from idefn_tf.models.methods.all_negative import AllNegative
from idefn_tf.models.methods.click_only import ClickOnly
from idefn_tf.models.methods.dcmt import DCMT
from idefn_tf.models.methods.ddpo import DDPO
from idefn_tf.models.methods.escim_ratio import ESCIMRatio
from idefn_tf.models.methods.escm2_dr import ESCM2DR
from idefn_tf.models.methods.escm2_ips import ESCM2IPS
from idefn_tf.models.methods.esmm import ESMM
from idefn_tf.models.methods.idefn import IdeFN, IdeFNT, explain_regime
from idefn_tf.models.methods.mmoe import MMoE
from idefn_tf.models.methods.multi_dr import MultiDR
from idefn_tf.models.methods.multi_ipw import MultiIPW
from idefn_tf.models.methods.nise import NISE
from idefn_tf.models.methods.ple import PLE
from idefn_tf.models.registry import METHODS, get_method, method
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
    "DEFERFeedback",
    "DEFUSEFeedback",
    "DFMFeedback",
    "ESCIMRatio",
    "ESDFMFeedback",
    "EntireSpaceModel",
    "FNCFeedback",
    "FNWFeedback",
    "IdeFN",
    "IdeFNT",
    "LabelLikelihood",
    "MMoE",
    "MMoETrunk",
    "MultiDR",
    "MultiIPW",
    "NearestPositive",
    "ObservedFeedback",
    "OracleFeedback",
    "OracleRelabel",
    "Outputs",
    "PLETrunk",
    "RandomRelabel",
    "TopKCVR",
    "Trunk",
    "WaitFeedback",
    "WeighFeedback",
    "explain_regime",
    "get_method",
    "method",
]
