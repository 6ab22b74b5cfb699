# On a fresh machine with Python 3.11+ and make: `make demo`, `make test`. Everything else is installed into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SYNCED := $(VENV)/.synced
UV     := uv==0.13.9

export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never
unexport VIRTUAL_ENV

.PHONY: demo test lint types templates synth publish bench sandbox judge docs setup hostile faults flood mutate clean

demo: $(SYNCED)           ## deploy to an emulated organization, break it, watch it being repaired
	@$(BIN)/python -m sandbox.demo $(ARGS)

test: $(SYNCED)           ## all tests, in parallel, without network
	$(BIN)/python -m pytest $(ARGS)

lint: $(SYNCED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(SYNCED)
	$(BIN)/mypy app.py sharr command lambdas stacks sandbox ssm_documents tools benchmarks judge hostile faults flood mutations tests

synth: $(SYNCED)          ## templates into cdk.out
	$(BIN)/python app.py
	@ls -1 cdk.out/*.template.json

templates: $(SYNCED)      ## synthesize with the CDK's own validation, then cfn-lint and cdk-nag
	rm -rf build/cdk.out-checked
	CDK_OUTDIR=build/cdk.out-checked $(BIN)/python app.py
	$(BIN)/python -m stacks.check

publish: $(SYNCED)        ## templates and code into BUCKET (PREFIX=sharr ORGANIZATION=o-... FLAT=all CREATE=1)
	@$(BIN)/python -m stacks.publish --bucket "$(BUCKET)" $(if $(PREFIX),--prefix "$(PREFIX)") \
		$(if $(ORGANIZATION),--organization "$(ORGANIZATION)") $(if $(FLAT),--flat "$(FLAT)") $(if $(CREATE),--create)

bench: $(SYNCED)          ## measure the goals of docs/performance.md
	$(BIN)/python -m benchmarks $(ARGS)

faults: $(SYNCED)         ## make every call fail, one at a time; see docs/reliability.md
	$(BIN)/python -m faults $(ARGS)

flood: $(SYNCED)          ## simulate ten thousand findings at once under AWS's quotas
	$(BIN)/python -m flood $(ARGS)

mutate: $(SYNCED)         ## take away what protects, one thing at a time, and see the sandbox go red
	$(BIN)/python -m mutations $(ARGS)

sandbox: $(SYNCED)        ## the organization behind one localhost endpoint, until Ctrl-C
	@$(BIN)/python -m sandbox $(ARGS)

judge: $(SYNCED)          ## let Prowler scan the sandbox before and after the repairs (needs the network once)
	@test -x build/prowler/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python build/prowler
	@VIRTUAL_ENV=build/prowler $(BIN)/uv pip install --quiet --python build/prowler/bin/python -r judge/requirements.txt
	$(BIN)/python -m judge build/prowler/bin/python $(ARGS)

hostile: $(SYNCED)        ## 100,000 hostile findings, each judged (ARGS=N for fewer, --write keeps the numbers)
	$(BIN)/python -m hostile $(ARGS)

docs: $(SYNCED)           ## write what is generated in README.md and docs/
	$(BIN)/python -m tools.make_docs

setup: $(SYNCED)

$(SYNCED): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@$(BIN)/uv sync --quiet --frozen --inexact
	@touch $(SYNCED)

clean:
	rm -rf build cdk.out .pytest_cache .mypy_cache .ruff_cache .hypothesis
