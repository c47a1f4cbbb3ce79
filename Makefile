# Two commands matter: `make lab` shows the product, `make test` proves it. `make help` lists the rest.
PROFILE ?= ha_postgresql
LAB     ?= lab
PYTHON  ?= python3
RUNS    ?= 1

export ZEROSPOF_CACHE ?= $(HOME)/.cache/zerospof-temporal
export PYTHONPATH     := $(CURDIR)
export ANSIBLE_HOME   ?= $(CURDIR)/.cache/ansible
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.cache/collections
export MOLECULE_GLOB  := molecule/*/molecule.yml
export LC_ALL         := C.UTF-8
# Where tools keep what they fetch and compile, so that lab-down removes it with the rest.
export PIP_CACHE_DIR  ?= $(ZEROSPOF_CACHE)/pip
export GOCACHE        ?= $(ZEROSPOF_CACHE)/go-build
export GOPATH         ?= $(ZEROSPOF_CACHE)/gopath
export MAVEN_OPTS     ?= -Dmaven.repo.local=$(ZEROSPOF_CACHE)/maven

# The environment is shared by all checkouts and made anew when a requirement changes.
VENV := $(ZEROSPOF_CACHE)/venv-$(shell cat requirements.txt test-requirements.txt | sha256sum | cut -c1-12)
COLLECTION := .cache/collections/ansible_collections/zerospof/temporal
export PATH := $(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PROFILE=basic|three_machines|ha_postgresql|ha_cassandra chooses the inventory of the lab (now: $(PROFILE))."
	@echo "  LAB=name SUBNET=10.78.0.0/24 make a second one beside it."
	@echo "  IMAGE=debian-12 makes all its hosts of that release; the inventories say debian-13 but where Cassandra is."
	@echo "  DISKS=1 gives the data of its databases disks of their own, so that make chaos can fill one."
	@echo "  RELEASE=1.30.6 begins with that release of Temporal, so that an upgrade can be tried."

$(VENV)/.done:
	@echo "== Tools of the control node (once, about 3 minutes)"
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || (apt-get update -qq && apt-get install -y -qq python3-venv)
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --requirement test-requirements.txt
	@touch $@

.PHONY: deps
deps: $(VENV)/.done ## Install what the lab and the tests need
	@command -v ssh >/dev/null || (apt-get update -qq && apt-get install -y -qq openssh-client)
	@mkdir -p $(dir $(COLLECTION)) && ln -sfn $(CURDIR) $(COLLECTION) && ln -sfn $(VENV) .cache/venv

.PHONY: lab
lab: deps ## Bring up a whole cluster in containers and run a workflow through it
	@python -m lab.cluster --profile $(PROFILE) --name $(LAB) $(if $(SUBNET),--subnet $(SUBNET)) $(if $(IMAGE),--image $(IMAGE)) $(if $(DISKS),--disks) $(if $(RELEASE),--release $(RELEASE))

.PHONY: lab-status
lab-status: deps ## Show the hosts of the lab
	@python -m lab status --name $(LAB)

.PHONY: lab-stop
lab-stop: deps ## Remove the hosts of the lab; images and software stay for the next one
	@python -m lab down --name $(LAB)

.PHONY: lab-down
lab-down: ## Remove everything that was made: labs, images, built software, tools
	@[ ! -d /var/lib/zerospof-lab ] || { $(MAKE) --no-print-directory deps && python -m lab down --all; }
	@rm -rf $(ZEROSPOF_CACHE) .cache

.PHONY: check
check: deps ## Lint, unit tests, and every template rendered for every inventory (under 3 minutes)
	@python -m tests.run check

.PHONY: test
test: deps ## Run all tests on real clusters and print what each took
	@python -m tests.run all

.PHONY: molecule
molecule: deps ## Test one role on lab hosts: make molecule ROLE=etcd
	$(if $(wildcard molecule/$(or $(ROLE),none)/molecule.yml),,$(error ROLE is one of: $(patsubst molecule/%/molecule.yml,%,$(sort $(wildcard molecule/*/molecule.yml)))))
	@python -m lab.software
	@molecule test --scenario-name $(ROLE)

.PHONY: chaos
chaos: deps ## Break the lab case by case and judge each: make chaos CASE=primary-host RUNS=3
	@python -m tests.chaos.run --running $(LAB) --profile $(PROFILE) --runs $(RUNS) $(addprefix --case ,$(CASE))

.PHONY: baseline
baseline: deps ## Break Airflow with Celery and Redis on hosts of its own: make baseline EXPERIMENT=broker RUNS=3
	@python -m tests.baseline.run --runs $(RUNS) $(addprefix --experiment ,$(EXPERIMENT))

.PHONY: docs
docs: deps ## Write what is generated of the documentation
	@python -m tests.docs --write

.PHONY: build
build: deps ## Build the collection archive
	@ansible-galaxy collection build --force --output-path .cache/build .
