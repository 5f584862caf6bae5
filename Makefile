# make help      this list
# make           build .venv from constraints/dev.txt (nothing to do when it is up to date)
# make model     export the default model to clas/inference/
# make onnx      the same as inference.onnx, without Paddle
# make demo      the whole path: model, hub install, hub serving, the client on three photographs
# make test      all tests, three at a time, since many wait; JOBS=6 on a machine with more cores
# make cover     the same with coverage, which must reach the floor in setup.cfg
# make serve     the standalone server on the default model, at http://127.0.0.1:8866, without Paddle
# make smoke     what `make serve` needs, and the tests that need no Paddle, in the environment of `make serve`
# make bench     the measured claims (about half an hour); BENCH="--rounds 1 --only hub" for a part
# make chaos     MINUTES=5 of killed processes under load; likewise
# make overload  MINUTES=1 of five times as many clients as there is room for, and
# make soak      MINUTES=5 of mixed requests, with the slope of the memory in use
# make fuzz      MINUTES=2 of changed image files, for each of the oldest, the pinned and the newest OpenCV
# make batch     20,000 images on a Ray cluster whose processes are killed; IMAGES=1000 for fewer
# make kserve    KServe's own client, in an environment of its own, against a running server (SERVER=URL)
# make check     format, lint, types
# make versions  the lowest, the newest and the server's pinned versions, in environments of their own
# make wheelhouse  SET=serving: its wheels and the default model in one archive, for machines without a network
# make airgapped   SET=serving: the same, installed and used in a network namespace without a network
# make docs      the manual as a site, in build/docs (from an environment of its own, .venv-docs)
# make clean     remove what the targets above have made

# The first of these that is a Python 3.11 or 3.12; `make PYTHON=/path/to/python` names another.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3 python,\
	$(shell $(name) -c 'import sys; (3, 11) <= sys.version_info < (3, 13) and print("$(name)")' 2>/dev/null)))
BIN := .venv/bin
MODEL := clas/inference/inference.pdmodel
# Of the server alone: .venv has Paddle and PaddleHub, this one hasn't.
SERVING := .venv-serving/bin
ONNX := clas/inference/inference.onnx
EXPORT := $(addprefix tools/,export_efficientnet_lite.py efficientnet_lite.py torch_checkpoint.py)

.PHONY: help venv model onnx demo browser test cover serve smoke chaos overload soak bench fuzz kserve batch check docs versions wheelhouse airgapped clean
venv: .venv/.complete

# The targets, as described at the top of this file.
help:
	@sed -n '/^#/!q; s/^# //p' $(firstword $(MAKEFILE_LIST))

.venv/.complete: constraints/dev.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --no-deps --disable-pip-version-check -r constraints/dev.txt
	touch $@

# Written last by the export, so its being there means that the model is whole.
$(MODEL): .venv/.complete $(EXPORT) tools/paddle_graph.py
	GLOG_minloglevel=2 $(BIN)/python -W ignore tools/export_efficientnet_lite.py
	touch $@

model: $(MODEL)

demo: $(MODEL)
	$(BIN)/python tools/demo.py

# Debian's Chromium and its driver, for the tests of the web page; nothing to do when they are there.
browser:
	@{ test -x /usr/bin/chromium && test -x /usr/bin/chromedriver; } || \
	{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	  chromium chromium-driver >/dev/null; } || \
	echo "make: the tests of the web page need Chromium: sudo apt-get install chromium chromium-driver"

# Tests that share a server are run by the same process; those that need all cores follow, one by one.
JOBS ?= 3
BESIDE_OTHERS := pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder -m "not alone"
ALONE := pytest -m alone

test: $(MODEL) browser
	$(BIN)/python -m $(BESIDE_OTHERS)
	$(BIN)/python -m $(ALONE)

cover: $(MODEL) browser
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(BESIDE_OTHERS)
	$(BIN)/coverage run -m $(ALONE)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.venv-serving/.complete: constraints/serving.txt constraints/export.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv-serving
	$(SERVING)/pip install --no-deps --disable-pip-version-check $(addprefix -r ,$^)
	touch $@

$(ONNX): .venv-serving/.complete $(EXPORT) tools/onnx_graph.py
	$(SERVING)/python tools/export_efficientnet_lite.py --format onnx
	touch $@

onnx: $(ONNX)

serve: $(ONNX)
	$(SERVING)/python -m clas.serving start -m clas_system

.venv-serving/.tests: .venv-serving/.complete constraints/smoke.txt
	$(SERVING)/pip install --no-deps --disable-pip-version-check -r constraints/smoke.txt
	touch $@

smoke: $(ONNX) .venv-serving/.tests
	! $(SERVING)/python -c 'import paddle' 2>/dev/null
	$(SERVING)/python -m pytest tests/e2e/test_smoke.py tests/e2e/test_default_onnx.py tests/unit/clas

overload: MINUTES ?= 1
chaos soak: MINUTES ?= 5
chaos: TEST := 'killed or many_clients'
overload: TEST := more_clients
soak: TEST := memory
chaos overload soak: $(MODEL)
	$(BIN)/python -m pytest -s tests/e2e/test_chaos.py -k $(TEST) --minutes $(MINUTES)

bench: $(MODEL)
	$(BIN)/python -W ignore benchmarks/bench.py $(BENCH)
	$(BIN)/python -W ignore benchmarks/startup.py
	$(BIN)/python -W ignore benchmarks/liveness.py
	$(BIN)/python -W ignore benchmarks/agreement.py

# Versions of OpenCV, each in an environment of its own in .venv-fuzz/.
FUZZ_oldest := opencv-python-headless~=$(shell sed -n 's/.*opencv-python-headless >=//p' setup.cfg | sort -u).0
FUZZ_pinned := $(shell grep '^opencv-python-headless==' constraints/serving.txt)
FUZZ_newest := opencv-python-headless

.venv-fuzz/%/.complete: setup.cfg constraints/serving.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv-fuzz/$*
	.venv-fuzz/$*/bin/pip install --disable-pip-version-check --quiet '$(FUZZ_$*)' numpy pillow
	touch $@

# FUZZ="--count 100000 --seed 1" for the same files again.
fuzz: MINUTES ?= 2
fuzz: .venv-fuzz/oldest/.complete .venv-fuzz/pinned/.complete .venv-fuzz/newest/.complete
	.venv-fuzz/pinned/bin/python tools/fuzz_images.py --minutes $(MINUTES) $(FUZZ) $(^:%/.complete=%/bin/python)

batch: IMAGES ?= 20000
batch: $(MODEL)
	$(BIN)/python -W ignore benchmarks/ray_batch.py kills --images $(IMAGES)

.venv-kserve/.complete: constraints/kserve.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv-kserve
	.venv-kserve/bin/pip install --no-deps --disable-pip-version-check -r $<
	touch $@

SERVER ?= http://127.0.0.1:8866
kserve: .venv-kserve/.complete
	.venv-kserve/bin/python tools/try_kserve_client.py $(SERVER)

check: .venv/.complete
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv-docs/.complete: constraints/docs.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/pip install --no-deps --disable-pip-version-check -r constraints/docs.txt
	touch $@

# Strict, as mkdocs.yml says: a broken link fails. The variable turns off an advertisement.
docs: .venv-docs/.complete
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build

# uv resolves to the lowest versions, which pip can't. VERSIONS="--set client --python 3.12" tries a part.
.venv-versions/uv/.complete:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv-versions/uv
	.venv-versions/uv/bin/pip install --disable-pip-version-check uv
	touch $@

versions: .venv-versions/uv/.complete $(ONNX)
	$(PYTHON) tools/try_versions.py $(VERSIONS)

# Sets: the names of constraints/*.txt. Of servers, the archive has the default model, too.
SET ?= serving
WHEELHOUSE_MODEL := $(if $(filter hub%,$(SET)),$(MODEL),$(if $(filter serving%,$(SET)),$(ONNX)))

wheelhouse: $(WHEELHOUSE_MODEL)
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) tools/make_wheelhouse.py $(SET)

airgapped: wheelhouse
	$(PYTHON) tools/try_wheelhouse.py "$$(ls -t build/clas_system-*-$(SET)-cp*.tar.gz | head -n 1)"

clean:
	rm -rf .venv .venv-docs .venv-serving .venv-fuzz .venv-kserve .venv-versions build clas_system.egg-info clas/inference .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
