# Packages: `make static`, one binary for any x86-64 Linux, below 3 MB; `make deb`, a Debian package,
# tried in a clean root (debootstrap, so as root).
STATIC_MOST := 3000000
DEB_LIBDIR  := /usr/lib/$(shell $(CC) -print-multiarch)

.PHONY: static deb
static: $(BUILD)/twinseg-static
	@bytes=$$(stat -c %s $<); echo "$<: $$bytes bytes"; [ $$bytes -lt $(STATIC_MOST) ]
	@! readelf -l $< | grep -q INTERP # needs no loader, so no library
	@$< --version

$(BUILD)/twinseg-static: $(CLI_OBJECTS) $(BUILD)/libtwinseg.a
	@echo "  LINK $@"
	@$(CC) $(CFLAGS) -static -s -o $@ $^ $(shell pkg-config --static --libs $(PACKAGES)) -lm -pthread

deb:
	@tools/deps.sh deb
	@rm -rf $(BUILD)/deb
	@$(MAKE) --no-print-directory -j$(JOBS) install DESTDIR=$(BUILD)/deb/root PREFIX=/usr \
	    LIBDIR=$(DEB_LIBDIR) >/dev/null
	@tools/deb.sh $(BUILD)/deb $(VERSION)
