# clang-format, clang-tidy, cppcheck, and the project's own rules. A file is checked again when it or one
# of its headers changes.
JOBS    ?= $(shell nproc)
FORMATTED := $(wildcard include/*.h src/*/*.[ch] bench/*.[ch] tests/*.[ch] tests/fuzz/*.[ch])
TIDIED  := $(wildcard src/*/*.c bench/*.c tests/*.c tests/fuzz/*.c)
TIDY_OK := $(TIDIED:%.c=$(BUILD)/lint/%.ok)

lint:
	@tools/deps.sh lint
	@$(MAKE) --no-print-directory -k -j$(JOBS) run-lint

.PHONY: run-lint lint-format lint-house lint-cppcheck
run-lint: lint-format lint-house lint-cppcheck $(TIDY_OK)
	@echo "lint: clean"

lint-format:
	@clang-format --dry-run -Werror $(FORMATTED)

lint-house:
	@tools/lint_house.sh

lint-cppcheck:
	@cppcheck --quiet --std=c11 --enable=warning,performance --inline-suppr --error-exitcode=1 \
	    --suppress=preprocessorErrorDirective \
	    -D_GNU_SOURCE '-Djson_array_foreach(a,i,v)=for(;;)' '-Djson_object_foreach(o,k,v)=for(;;)' \
	    -Iinclude -Isrc -Itests src bench tests

# Tests are not analysed for paths: the analyser cannot tell that a failed assertion ends them.
$(BUILD)/lint/tests/%.ok: TIDY_CHECKS := -clang-analyzer-*
$(BUILD)/lint/%.ok: %.c .clang-tidy
	@CC="$(CC)" tools/tidy.sh $@ $< '$(TIDY_CHECKS)' $(BASE_FLAGS) -Itests $(FLAGS_$*)

-include $(TIDY_OK:=.d)

format:
	@clang-format -i $(FORMATTED)
