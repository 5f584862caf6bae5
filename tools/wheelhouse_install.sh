#!/bin/sh
# Installs clas_system from the wheels beside this file, without a network:
#
#     sh install.sh [FOLDER]
#
# FOLDER is the new environment, by default venv beside this file. PYTHON=/path/to/python@PYTHON@ names another
# interpreter than the first python@PYTHON@ of the PATH. Neither Debian's python3-venv nor pip is needed.
set -eu

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/venv}
python=${PYTHON:-python@PYTHON@}
command -v "$python" >/dev/null || fail "there is no $python: PYTHON=/path/to/python@PYTHON@ sh install.sh"
# The wheels are for one Python and one kind of system.
found=$("$python" -c 'import sys, sysconfig; print("%d.%d on %s" % (*sys.version_info[:2], sysconfig.get_platform()))')
[ "$found" = "@PYTHON@ on @PLATFORM@" ] || fail "the wheels are for Python @PYTHON@ on @PLATFORM@; $python is $found"
[ ! -e "$target" ] || fail "$target is there already: remove it, or name another folder"

"$python" -m venv --without-pip "$target"
target=$(cd "$target" && pwd)
bin=$target/bin
# No setting of this machine leads pip elsewhere.
for pip in "$here"/wheels/pip-*.whl; do
    PIP_CONFIG_FILE=/dev/null "$bin/python" "$pip/pip" --isolated install --quiet --disable-pip-version-check \
        --no-index --no-deps --find-links "$here/wheels" \
        -r "$here/@SET@.txt" "$here"/wheels/clas_system-*.whl "$pip"
done

echo "@SET@ is installed in $target; next:"
echo "    @NEXT@"
