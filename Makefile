# mini-cllm: `make` builds build/mini-cllm and the libraries; `make help` lists the targets.
#
# BUILD=dir      where the products go (default build)
# SANITIZE=list  such as address,undefined
# CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR as usual

VERSION   := $(shell sed -n 's/^.define CLLM_VERSION "\(.*\)"/\1/p' include/cllm.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
BUILD     ?= build
PREFIX    ?= /usr/local
CFLAGS    ?= -O3 -g
UNAME     := $(shell uname -s)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
# No fused multiply-add where the source has none: the same bits from every compiler.
FLAGS    := -std=c17 -D_POSIX_C_SOURCE=200809L -D_DARWIN_C_SOURCE -Iinclude -Isrc -ffp-contract=off -fPIC \
            -fvisibility=hidden -pthread -MMD -MP $(WARNINGS)
ifdef SANITIZE
FLAGS    += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=$(SANITIZE)
endif

# pkg-config, with a clear message where a library is missing: $(call library,NAME,PACKAGE,what for)
library = $(shell pkg-config --exists $(1) 2>/dev/null && echo yes)
need    = $(if $(call library,$(1)),,$(error $(3) needs the library $(1), found with pkg-config: run scripts/setup, or install $(2)))

LIB_SOURCES     := $(wildcard src/*/*.c)
PROGRAM_SOURCES := $(wildcard programs/*.c)
TEST_SOURCES    := $(wildcard tests/test_*.c)
SUPPORT_SOURCES := $(wildcard tests/support/*.c)
object           = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJECTS     := $(call object,$(LIB_SOURCES))
TESTS           := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SOURCES))

ifeq ($(UNAME),Darwin)
SHARED      := libcllm.$(VERSION).dylib
SHARED_LINK := -dynamiclib -install_name $(PREFIX)/lib/libcllm.$(SOVERSION).dylib
else
SHARED      := libcllm.so.$(VERSION)
SHARED_LINK := -shared -Wl,-soname,libcllm.so.$(SOVERSION) -Wl,--no-undefined
endif

all: $(BUILD)/mini-cllm $(BUILD)/libcllm.a $(BUILD)/$(SHARED)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(CFLAGS) $(OBJECT_FLAGS) -c $< -o $@

$(BUILD)/libcllm.a: $(LIB_OBJECTS)
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/$(SHARED): $(LIB_OBJECTS)
	$(CC) $(SHARED_LINK) $(CFLAGS) $(LDFLAGS) -pthread $^ -lm -o $@

# The program links jansson (its --json output); the library does not.
$(call object,$(PROGRAM_SOURCES)): OBJECT_FLAGS = $(call need,jansson,libjansson-dev,mini-cllm)$(shell pkg-config --cflags jansson)
$(BUILD)/mini-cllm: $(call object,$(PROGRAM_SOURCES)) $(BUILD)/libcllm.a
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread $^ $(shell pkg-config --libs jansson) -lm -o $@

$(call object,$(TEST_SOURCES) $(SUPPORT_SOURCES)): OBJECT_FLAGS = -Itests $(call need,cmocka,libcmocka-dev,make test)$(shell pkg-config --cflags cmocka)
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(call object,$(SUPPORT_SOURCES)) $(BUILD)/libcllm.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread $^ $(shell pkg-config --libs cmocka) -lm -o $@

check-format:
	clang-format --dry-run -Werror $(shell git ls-files '*.c' '*.h')

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD)

.PHONY: all check-format format clean
.SECONDARY:
-include $(patsubst %.o,%.d,$(LIB_OBJECTS) $(call object,$(PROGRAM_SOURCES) $(TEST_SOURCES) $(SUPPORT_SOURCES)))
