# WebAssembly: the program as build/web/twinseg, for node, and its tests. Debian's emscripten (tools/packages-web.txt);
# the libraries come from Debian's source packages.
WEB := build/web
WEB_MAKE = PKG_CONFIG_LIBDIR=$(CURDIR)/$(WEB)/root/lib/pkgconfig NODE_PATH=/usr/share/nodejs \
    $(MAKE) --no-print-directory CC=emcc AR=emar BUILD=$(WEB) CFLAGS=-O2

.PHONY: deps-web web-program test-web
deps-web:
	@tools/deps.sh web

web-program: deps-web
	@tools/web_libraries.sh $(WEB)/root
	@$(WEB_MAKE) all $(WEB)/tests/test_engine $(WEB)/tests/test_predict_case

# The same program under node: every kernel against ref, what `info` prints, predictions beside those of the native
# program. Some minutes.
test-web: web-program
	@$(MAKE) --no-print-directory all $(BUILD)/tests/test_json
	@BUILD=$(BUILD) WEB=$(WEB) tools/run_tests.sh tests/web.sh
