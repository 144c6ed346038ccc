# What a developer runs. `make` alone lists it. Needs Python 3.10 or newer and a C compiler, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CC ?= cc
OPENMP := -fopenmp
# exactly the flags of setup.py, and every warning an error
CFLAGS := -std=gnu11 -O2 -ffp-contract=off -fno-math-errno -fno-trapping-math -fvisibility=hidden $(OPENMP) -Icsrc $(SANITIZE)
WARNINGS := -Wall -Wextra -Werror
CORE := $(wildcard csrc/*.c csrc/targets/*.c)
HEADERS := $(wildcard csrc/*.h csrc/kernels/*.h csrc/simd/*.h)

MACHINES := aarch64 s390x arm nehalem windows

.PHONY: help demo examples test long fuzz test-c test-guard sanitize sanitize-c watched-c sanitize-threads watched-threads \
    sanitize-python valgrind test-cross $(MACHINES:%=test-%) test-lower wheels reproducible exhaustive exact reliability lint \
    format warnings compare scaling compare-scoring bench check-bench dashboard clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

# A virtual environment with the package in it, and any sets of extras; the package is built once for all of them, and again when
# a source or pyproject.toml changes.
$(VENV)/package: pyproject.toml setup.py $(CORE) $(HEADERS) $(wildcard src/crossent/*.py* src/crossent/*/*.py)
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@rm -rf $(VENV)/wheel
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(VENV)/wheel .
	@$(BIN)/python -m pip install --quiet --no-deps --force-reinstall $(VENV)/wheel/*.whl
	@touch $@

$(VENV)/with-%: $(VENV)/package
	@$(BIN)/python -m pip install --quiet "$$(echo $(VENV)/wheel/*.whl)[$*]"
	@touch $@

demo: $(VENV)/with-test  ## train on handwritten digits, write logits, score them, draw the report
	$(BIN)/python examples/digits.py demo
	$(BIN)/crossent score demo/logits.npy demo/labels.npy --plot demo/report.png

examples: $(VENV)/with-test demo  ## all of them at full size: 2 GB of disk for a while, some minutes
	$(BIN)/python examples/language_model.py demo/language-model
	$(BIN)/python examples/segmentation.py demo/segmentation

# A process for each CPU: a test that needs threads, or memory that grows, has them of its own.
SUITE := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal
test: $(VENV)/with-test  ## build, and run the whole test suite; PYTEST="-k layouts" for a part
	$(SUITE) $(PYTEST)

long: $(VENV)/with-test  ## the tests that take hours: 100 runs, 200 forks, 2^31 elements, hundreds of kills, fuzz
	$(BIN)/python -m pytest -m long -rP

# Batch N is seed N: after a failure or a Ctrl-C, `make fuzz FROM=N` goes on with it.
FROM ?= 1
TO ?= 100
fuzz: $(VENV)/with-test  ## 10^5 cases in batches FROM to TO, of 1000: arrays of any kind against their dense copies
	$(BIN)/python -m pytest -m long -v $$(seq -f 'tests/test_fuzz.py::test_batch[%g]' $(FROM) $(TO))

BUILD := build/c
OBJECTS := $(CORE:csrc/%.c=$(BUILD)/%.o)
GUARDED := test_guard
test-c: $(BUILD)/test_core $(GUARDED:%=$(BUILD)/%)  ## the C core alone: verbs of each instruction set, kernels against long double
	@for isa in $$($(EMULATOR) $(BUILD)/test_core --list | tr -d '\r'); do for type in f32 f64; do \
	    $(CC) $(CFLAGS) $(WARNINGS) $(LDFLAGS) -DHEADER="\"simd/$${isa}_$$type.h\"" tests/c/test_verbs.c -o $(BUILD)/verbs -lm && \
	    $(EMULATOR) $(BUILD)/verbs || exit 1; \
	done; done
	$(EMULATOR) $(BUILD)/test_core
	$(if $(GUARDED),$(EMULATOR) $(BUILD)/test_guard --quick)

test-guard: $(BUILD)/test_guard  ## every kernel between protected pages, at 64 offsets from either (10 minutes)
	$(EMULATOR) $(BUILD)/test_guard

$(OBJECTS): $(BUILD)/%.o: csrc/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(WARNINGS) -c $< -o $@

C_PROGRAMS := test_core test_guard test_threads planted exhaustive
$(C_PROGRAMS:%=$(BUILD)/%): $(BUILD)/%: tests/c/%.c $(wildcard tests/c/*.h) $(OBJECTS)
	$(CC) $(CFLAGS) $(WARNINGS) $(LDFLAGS) $(OBJECTS) $(filter %.c,$^) -o $@ -lm
$(BUILD)/test_threads: tests/c/pthread_openmp.c

# What watches the core while tests run. Each is shown to see what it is for: a planted fault of each kind, in each instruction
# set, must end with its report. GCC's sanitizers know no masked load or store of AVX-512 and AVX2: test-guard does.
ADDRESS := -g -fno-omit-frame-pointer -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all
# (watcher, faults, what is in a report)
define reports
@for isa in $$($(1) $(BUILD)/test_core --list); do for fault in $(2); do \
    if $(1) $(BUILD)/planted $$fault $$isa > $(BUILD)/planted.log 2>&1 || ! grep -qE '$(3)' $(BUILD)/planted.log; then \
	echo "a planted fault is not reported: $$fault, $$isa"; exit 1; fi; \
done; done
endef

sanitize: sanitize-c sanitize-threads sanitize-python  ## all tests with GCC's sanitizers (hours)

sanitize-c:  ## the C tests, watched by AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) watched-c BUILD=build/address SANITIZE="-Og $(ADDRESS)" WARNINGS=
watched-c: $(BUILD)/planted test-c
	$(call reports,,reads writes freed leaks misaligned,AddressSanitizer|LeakSanitizer|runtime error)

sanitize-threads:  ## the core on several threads, watched by ThreadSanitizer
	$(MAKE) watched-threads BUILD=build/thread SANITIZE="-Og -g -fsanitize=thread" WARNINGS=
watched-threads: export TSAN_OPTIONS = halt_on_error=1
watched-threads: $(BUILD)/test_threads $(BUILD)/planted $(BUILD)/test_core
	$(BUILD)/test_threads
	$(call reports,,races,data race)

# The suite through a watched extension, in each instruction set. Reports go to files, for pytest would swallow them; those of
# UndefinedBehaviorSanitizer, which beside the other writes to no file, end their worker. Python's own memory comes from malloc,
# and it keeps some to its end: leaks are test_memory.py's.
WATCHED := build/address/site
REPORT := $(abspath build/address/report)
LIBRARIES = $$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)
WATCH = PYTHONPATH=$(abspath $(WATCHED)) PYTHONMALLOC=malloc CROSSENT_TESTS_SLOWER=4 LD_PRELOAD="$(LIBRARIES)" \
    ASAN_OPTIONS=log_path=$(REPORT):detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1 \
    UBSAN_OPTIONS=log_path=$(REPORT):print_stacktrace=1
# What counts bytes, and what looks at the file that was built, is for a build that nobody watches.
UNWATCHED := test_extension.py test_memory.py::test_a_call_keeps_no_memory \
    test_memory.py::test_a_call_that_is_refused_keeps_no_memory

$(WATCHED): $(VENV)/package
	CC=$(CC) CFLAGS="$(ADDRESS)" LDFLAGS="$(ADDRESS)" $(BIN)/python -m pip install --quiet --no-deps --upgrade --target $@ \
	    --config-settings="--global-option=build --build-base=build/address/python" .
	@touch $@

sanitize-python: $(WATCHED) $(VENV)/with-test  ## the suite, watched by the same; ONLY="-k layouts" for a part
	@rm -f $(REPORT).*
	@! $(WATCH) $(BIN)/python -c 'import numpy, crossent._kernels as k; k.map_exp(numpy.ones(1024), numpy.ones(512))'
	@grep -q heap-buffer-overflow $(REPORT).* && rm $(REPORT).* || { echo "a planted fault is not reported"; exit 1; }
	@for isa in $$($(BIN)/python -c 'from crossent import _runtime; print(*_runtime.isa_names())'); do \
	    CROSSENT_ISA=$$isa $(WATCH) $(SUITE) $(UNWATCHED:%=--deselect=tests/%) $(ONLY) || exit 1; \
	    ! ls $(REPORT).* 2> /dev/null || exit 1; \
	done

# libgomp keeps its threads: what is only possibly lost is theirs.
VALGRIND := valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
valgrind: $(BUILD)/test_core $(BUILD)/planted  ## the C tests on AVX2 and scalar code, watched by valgrind, which knows no AVX-512
	$(VALGRIND) $(BUILD)/test_core
	$(call reports,$(VALGRIND),reads writes freed leaks unset,^==)

# What other machines add: NEON, big-endian, 32 bits, an x86-64 without AVX, Windows. They need their cross compilers and
# qemu-user; the last wine and ziglang.
CROSS_aarch64 := CC=aarch64-linux-gnu-gcc EMULATOR=qemu-aarch64 LDFLAGS=-static
CROSS_s390x := CC=s390x-linux-gnu-gcc EMULATOR=qemu-s390x LDFLAGS=-static
CROSS_arm := CC=arm-linux-gnueabihf-gcc EMULATOR=qemu-arm LDFLAGS=-static
CROSS_nehalem := EMULATOR="qemu-x86_64 -cpu Nehalem"
CROSS_windows := CC="python-zig cc -target x86_64-windows-gnu" EMULATOR=wine OPENMP= GUARDED=
SWEEP_aarch64 := exhaustive
test-cross: $(MACHINES:%=test-%)  ## the same on other machines, emulated; test-s390x is one of them

$(MACHINES:%=test-%): test-%:
	$(MAKE) test-c $(SWEEP_$*) QUICK=--quick BUILD=build/$* $(CROSS_$*)

# The commit's time is the files' time in a wheel: two builds of it are the same bytes.
wheels reproducible: export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),$(shell date +%s))
PYTHONS ?= $(foreach version,3.10 3.11 3.12 3.13,$(shell command -v python$(version)))

wheels: $(VENV)/with-wheels  ## wheels for PYTHONS in dist, each tested alone in a clean environment; PYTEST="-k layouts" for a part
	rm -rf dist
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/python tools/wheels.py $(PYTHONS) --pytest='$(PYTEST)'

reproducible: $(VENV)/with-wheels  ## two builds of HEAD's wheel in two folders, compared
	@rm -rf build/first build/second
	@for folder in build/first build/second; do \
	    mkdir -p $$folder && git archive HEAD | tar x -C $$folder && \
	    $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $$folder/dist ./$$folder || exit 1; \
	done
	sha256sum build/*/dist/*.whl
	cmp build/first/dist/*.whl build/second/dist/*.whl

# Where a table comes from: CPU, compiler, commit.
ORIGIN = $$(sed -n 's/^model name.*: //p' /proc/cpuinfo 2>/dev/null | head -1) $$(uname -sm), $$($(CC) --version | head -1), commit $$(git describe --always --dirty)
exhaustive: $(BUILD)/exhaustive  ## every float32 on every instruction set, a table (20 minutes; QUICK=--quick: a second)
	@printf '%s\n\n' "$(ORIGIN)" > $(BUILD)/exhaustive.md
	@$(EMULATOR) $(BUILD)/exhaustive $(QUICK) >> $(BUILD)/exhaustive.md; status=$$?; cat $(BUILD)/exhaustive.md; exit $$status

exact: $(VENV)/with-test  ## rows of cross_entropy up to 262,144 classes, torch beside if it is there, into build/exact.md (minutes)
	@mkdir -p build
	@printf '%s\n\n' "$(ORIGIN)" > build/exact.md
	@$(BIN)/python tests/exact_rows.py $(QUICK) >> build/exact.md; status=$$?; cat build/exact.md; exit $$status

reliability: exhaustive exact  ## both, and their tables into docs/reliability.md
	$(BIN)/python tools/reliability.py

# The others take every instruction set in turn.
UNFORCED := information modules short_way score_figures score_rows scoring temperature
test-lower: $(VENV)/with-test  ## the numeric tests that take what is in use, with the plain C kernels forced
	CROSSENT_ISA=scalar $(SUITE) -q $(UNFORCED:%=tests/test_%.py)

warnings:  ## csrc with every warning an error
	@for file in $(CORE); do $(CC) $(CFLAGS) $(WARNINGS) -fsyntax-only $$file || exit 1; done

compare: $(VENV)/with-bench  ## torch, JAX, scikit-learn, SciPy and ours, in turn: the README's table and picture
	@mkdir -p build
	$(BIN)/python -m benchmarks.peers --output build/peers.json
	$(BIN)/python -m benchmarks.report build/peers.json

CORES ?= 1,2,4,8,16
SCALED := ^\((65536,10|65536,100|4096,1000|512,32000|1,262144)\)$$|beyond|segmentation|logits
scaling: $(VENV)/with-bench  ## the same on more threads, for a machine that has them: docs/scaling.md, its picture
	@mkdir -p build
	$(BIN)/python -m benchmarks.peers --threads $(CORES) --only '$(SCALED)' --peers torch --output build/scaling.json
	$(BIN)/python -m benchmarks.scaling build/scaling.json

compare-scoring: $(VENV)/with-bench  ## crossent score beside cat, on 2 GB of logits of each type: speed, memory, bits (4 GB of disk)
	$(BIN)/python -m benchmarks.scoring $(SCORING)

check-bench: $(VENV)/with-asv  ## asv: the suites are well formed, and each runs once
	$(BIN)/asv machine --yes > /dev/null
	$(BIN)/asv check -E existing:$(BIN)/python
	$(BIN)/asv run --quick --dry-run --show-stderr -E existing:$(BIN)/python

bench: $(VENV)/with-asv  ## measure the commit that is checked out
	$(BIN)/asv machine --yes > /dev/null
	$(BIN)/asv run --show-stderr "HEAD^!"

COMMITS ?= 5
dashboard: $(VENV)/with-asv  ## measure the last COMMITS commits and publish .asv/html
	$(BIN)/asv machine --yes > /dev/null
	$(BIN)/asv run --skip-existing HEAD~$(COMMITS)..HEAD
	$(BIN)/asv publish
	$(BIN)/python -m benchmarks.offline .asv/html
	@echo "open .asv/html: $(BIN)/asv preview"

PYTHON_CODE := src tests benchmarks tools examples setup.py
C_CODE := $(CORE) $(HEADERS) $(wildcard tests/c/*.[ch])

lint: $(VENV)/with-dev  ## ruff, cython-lint, clang-format, mypy
	$(BIN)/ruff check $(PYTHON_CODE)
	$(BIN)/ruff format --check $(PYTHON_CODE)
	PATH=$(BIN):$$PATH cython-lint src/crossent/*.pyx src/crossent/*.pxd
	$(BIN)/clang-format --dry-run --Werror $(C_CODE)
	$(BIN)/mypy

format: $(VENV)/with-dev  ## mend what ruff and clang-format can mend
	$(BIN)/ruff check --fix $(PYTHON_CODE)
	$(BIN)/ruff format $(PYTHON_CODE)
	$(BIN)/clang-format -i $(C_CODE)

clean:  ## remove what was built
	rm -rf build dist .venv .asv demo src/crossent/*.so src/crossent/_kernels.c src/*.egg-info
