"""The everyday names: each is there, documented, and importing the package stays cheap."""

import subprocess
import sys

import pytest

import idefn_tf


@pytest.mark.parametrize("name", sorted(idefn_tf._HOMES))
def test_every_public_name_is_there_and_documented(name):
    assert getattr(idefn_tf, name).__doc__.strip()


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known():
    with pytest.raises(AttributeError, match=r"no attribute 'ESMN'.*ESMM"):
        _ = idefn_tf.ESMN


def test_importing_the_package_loads_no_tensorflow():
    code = "import sys, idefn_tf; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
