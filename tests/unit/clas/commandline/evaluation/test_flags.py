from pathlib import Path

import pytest

from clas.commandline.evaluation.flags import check_evaluation_flags
from clas.errors import SettingsError

FILE = Path("file")


def test_true_classes_come_from_one_source() -> None:
    with pytest.raises(
        SettingsError, match="--label_file and --labels_from_folders both say the true classes"
    ):
        check_evaluation_flags(FILE, None, from_folders=True)
    with pytest.raises(SettingsError, match="--metrics needs the true classes: --label_file or"):
        check_evaluation_flags(None, FILE, from_folders=False)
    check_evaluation_flags(FILE, FILE, from_folders=False)
    check_evaluation_flags(None, FILE, from_folders=True)
    check_evaluation_flags(None, None, from_folders=False)
