# Thin on purpose: every command is a Python module, set up on first use (deploy/local).
PYTHON ?= python3
ATELIER = $(PYTHON) -m deploy.local
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo up down status run models model test test-clients check reliability crash fuzz mutation bench profile gallery photographs protos settings openapi asyncapi starter-models doctor setup clean distclean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo:  ## everything once: set up, start, draw a picture and cut it out, do more with a photograph, save all to out/demo, stop
	@$(ATELIER) demo $(ARGS)

up:  ## start the stack in the background; prints addresses and a development API key
	@$(ATELIER) up

down:  ## stop it; its data stays
	@$(ATELIER) down

status:  ## what runs, and where
	@$(ATELIER) status

run:  ## the stack in the foreground, until Ctrl-C
	@$(ATELIER) run

models:  ## every model that is here: its source, licence, size, and whether its files are the right ones
	@$(ATELIER) models

model:  ## take a diffusers model from a hub and draw with it: ID=owner/name REVISION=main; ID=starter goes back
	@$(ATELIER) model --id "$$ID" --revision "$$REVISION"

test:  ## every test, on free ports, beside a running stack too; ARGS="-k name" for some, ARGS=--failed for what failed
	@$(ATELIER) test $(ARGS)

test-clients:  ## real clients of five languages and generators, and the vendors' SDKs, against a running stack; ARGS="-k node" for some
	@$(ATELIER) test-clients $(ARGS)

check:  ## ruff, mypy, import-linter, buf, generated code
	@$(ATELIER) check

reliability:  ## every promise of docs/reliability.md in its long form, about half an hour; ARGS="-k nats" for some
	@$(ATELIER) reliability $(ARGS)

crash:  ## load while kill -9 hits one process after the other, then the ledger; ARGS="--short" is what CI runs
	@$(ATELIER) crash $(ARGS)

fuzz:  ## 20,000 hostile requests to every door, then the ledger of answers, memory and secrets; ARGS="--cases 500 --seed 2"
	@$(ATELIER) fuzz $(ARGS)

mutation:  ## faults put into the code that carries promises, one at a time; 90 % must fail a test; ARGS="--count 300 --seed 2 --only leases"
	@$(ATELIER) mutation $(ARGS)

bench:  ## the task path beside Celery in the same run: rates, latencies, CPU per task; ARGS="--short" is what CI runs
	@$(ATELIER) bench $(ARGS)

profile:  ## CPU time per task by process and by stage
	@$(ATELIER) profile $(ARGS)

gallery:  ## before and after of every task type that runs here, in docs/gallery; ARGS="refine editing" for some
	@$(ATELIER) gallery $(ARGS)

photographs:  ## judge cut-outs, enlargements and finds on photographs; fails where one falls short; ARGS=--sheets draws docs/photographs
	@$(ATELIER) photographs $(ARGS)

protos:  ## generate the code of the contracts anew
	@$(ATELIER) protos

openapi:  ## the gateway's OpenAPI document
	@$(ATELIER) openapi

settings:  ## docs/settings.md from the settings classes
	@$(ATELIER) settings

asyncapi:  ## the AsyncAPI document of the events
	@$(ATELIER) asyncapi

starter-models:  ## train the starter models again from nothing (hours)
	@$(ATELIER) starter-models $(ARGS)

doctor:  ## what this machine lacks, and how to get it
	@$(ATELIER) doctor

setup:  ## only make the environments
	@$(ATELIER) setup

clean:  ## remove outputs, logs and caches; the data and the environments stay
	@$(ATELIER) clean

distclean:  ## remove everything made here, data and environments too
	@$(ATELIER) distclean
