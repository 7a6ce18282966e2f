# mini-cllm: plain make, GNU make 3.81 or newer.
#
#   make                 the program and both libraries, in build/
#   make test            build and run every test; where a matrix is too large it takes samples, by a seed that it prints
#                        (MINICLLM_TEST_SEED=number takes the same again)
#   make test-long       the same without samples: all of every matrix
#   make test AGAIN=1    only the tests of which something failed or was skipped the last time
#   make check-format    is every source as clang-format 14 would write it? (make format writes it)
#   make fuzz            FUZZ_SECONDS=60 of libFuzzer on every target of tests/fuzz (needs clang)
#   make install         PREFIX=/usr/local, DESTDIR= for packagers; make uninstall takes it away again
#   make clean           remove what was built
#   make help            this text
#
#   BUILD=folder         where the products go; settings that differ are best kept in folders that differ
#   SANITIZE=list        such as SANITIZE=address,undefined
#   WERROR=1             warnings are errors
#   V=1                  print whole command lines
#   CC, CFLAGS, LDFLAGS  as usual

VERSION   := $(shell sed -n 's/^.define CLLM_VERSION "\(.*\)"/\1/p' include/cllm.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
UNAME     := $(shell uname -s)

BUILD        ?= build
PREFIX       ?= /usr/local
CFLAGS       ?= -O3 -g
OBJCOPY      ?= objcopy
CLANG_FORMAT ?= $(firstword $(shell command -v clang-format-14 clang-format))
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
# No fused multiply-add where the source has none: the same bits from every compiler.
FLAGS    := -std=c17 -D_POSIX_C_SOURCE=200809L -D_DARWIN_C_SOURCE -Iinclude -Isrc -ffp-contract=off -fPIC \
            -fvisibility=hidden -pthread -MMD -MP $(WARNINGS)
LINK      = $(CC) $(CFLAGS) $(LDFLAGS) -pthread
ifdef SANITIZE
FLAGS    += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK     += -fsanitize=$(SANITIZE)
endif

# Prints a short line instead of the command after it: $(call say,CC,$<). `make -s` prints neither.
SILENT   := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say       = $(if $(V),,@$(if $(SILENT),,echo '$(1) $(2)' && ))

# pkg-config, with a clear message where a library is missing: $(call need,NAME,PACKAGE,what needs it)
need = $(if $(shell pkg-config --exists $(1) 2>/dev/null && echo yes),,$(error $(3) needs the library $(1), found \
       with pkg-config: run scripts/setup$(if $(4), $(4)), or install $(2)))

# Kernels of this machine's instruction sets are compiled in parts, side by side (src/cpu/vector_kernels.h).
MACHINE         := $(shell $(CC) -dumpmachine)
KERNEL_PARTS    := TABLE ATTENTION TILES SIMPLE SUPER_BLOCKS HALVES CODEBOOKS
KERNELS         := $(addprefix src/cpu/kernels_,$(if $(filter x86_64-%,$(MACHINE)),avx2 avx512)$(if \
                   $(filter aarch64-% arm64-%,$(MACHINE)),neon i8mm))
LIB_SOURCES     := $(filter-out $(KERNELS:%=%.c),$(wildcard src/*/*.c))
PROGRAM_SOURCES := $(wildcard programs/*.c)
SERVER_SOURCES  := $(wildcard programs/server/*.c)
TEST_SOURCES    := $(wildcard tests/test_*.c tests/check_kernels.c)
# Programs that shell tests or people run.
TOOL_SOURCES    := tests/print_kernel_text.c tests/run_kernels.c tests/time_gpu.c tests/write_by_grammar.c tests/maskbench.c tests/print_tokens.c
SUPPORT_SOURCES := $(wildcard tests/support/*.c)
KERNEL_TESTS    := $(wildcard tests/kernels/*.c)
FUZZ_SOURCES    := $(wildcard tests/fuzz/fuzz_*.c)
object           = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJECTS     := $(foreach kernels,$(KERNELS),$(KERNEL_PARTS:%=$(BUILD)/obj/$(kernels).%.o)) \
                   $(call object,$(LIB_SOURCES)) $(BUILD)/obj/kernel_text.o
PROGRAM_OBJECTS := $(call object,$(PROGRAM_SOURCES))
SUPPORT_OBJECTS := $(call object,$(SUPPORT_SOURCES))
TESTS           := $(subst tests/check,check,$(TEST_SOURCES:%.c=$(BUILD)/%)) $(BUILD)/check_avx512_model \
                   $(TOOL_SOURCES:%.c=$(BUILD)/%)
FUZZERS         := $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SOURCES))

ifeq ($(UNAME),Darwin)
SHARED      := libcllm.$(VERSION).dylib
SHARED_LINK := -dynamiclib -install_name $(PREFIX)/lib/libcllm.$(SOVERSION).dylib
SONAMES     := libcllm.$(SOVERSION).dylib libcllm.dylib
else
SHARED      := libcllm.so.$(VERSION)
SHARED_LINK := -shared -Wl,-soname,libcllm.so.$(SOVERSION)
SONAMES     := libcllm.so.$(SOVERSION) libcllm.so
endif

# Metal: Apple's framework on macOS. On Linux, LOOKALIKE=1 builds the same driver over tests/lookalike; it needs
# CC=clang and a BUILD of its own, and `make lookalike` uses it so. The other APIs are found by dlopen, which some C
# libraries keep in -ldl.
SYSTEM_LIBS := -ldl
ifeq ($(UNAME),Darwin)
SYSTEM_LIBS   := -framework Foundation -framework Metal -framework CoreGraphics
METAL_OBJECTS := $(BUILD)/obj/src/gpu/driver_metal.o
else ifdef LOOKALIKE
METAL_OBJECTS := $(addprefix $(BUILD)/obj/,src/gpu/driver_metal.o tests/lookalike/metal.o tests/lookalike/foundation.o \
                 tests/lookalike/msl_program.o tests/lookalike/fibers.o)
METAL_FLAGS   := -fobjc-runtime=gcc -fblocks -Itests/lookalike -idirafter $(shell gcc -print-file-name=include)
SYSTEM_LIBS   := -rdynamic -Wl,--no-as-needed $(shell gcc -print-file-name=libobjc.so)
$(call object,tests/lookalike/msl_program.c): OBJECT_FLAGS = -DLOOKALIKE_FOLDER='"$(CURDIR)/tests/lookalike"'
endif
LIBS := -lm $(SYSTEM_LIBS)
ifdef METAL_OBJECTS
LIB_OBJECTS += $(METAL_OBJECTS)
$(call object,src/gpu/drivers.c): OBJECT_FLAGS = -DCLLM_METAL
$(BUILD)/obj/%.o: %.m $(BUILD)/settings
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(FLAGS) $(if $(WERROR),-Werror) $(CFLAGS) -fno-objc-arc $(METAL_FLAGS) -c $< -o $@
endif

# What `mini-cllm pull` needs. Without it the program is built all the same, and pull says what is missing.
PULL_LIBRARIES := libcurl libcrypto
PULL_MISSING   := $(foreach library,$(PULL_LIBRARIES),$(if $(shell pkg-config --exists $(library) 2>/dev/null && echo yes),,$(library)))
ifeq ($(strip $(PULL_MISSING)),)
PULL_FLAGS := $(shell pkg-config --cflags $(PULL_LIBRARIES)) -DHAVE_CURL
PULL_LIBS  := $(shell pkg-config --libs $(PULL_LIBRARIES))
else
PULL_FLAGS := -DMISSING_LIBRARIES='"$(strip $(PULL_MISSING))"'
endif

# What `mini-cllm serve` needs, likewise.
ifneq ($(shell pkg-config --exists libmicrohttpd 2>/dev/null && echo yes),)
SERVER_FLAGS    := $(shell pkg-config --cflags libmicrohttpd) -DHAVE_MICROHTTPD
SERVER_LIBS     := $(shell pkg-config --libs libmicrohttpd)
PROGRAM_OBJECTS += $(call object,$(SERVER_SOURCES)) $(BUILD)/obj/web_files.o
else
FUZZERS         := $(filter-out request http,$(FUZZERS))
endif

all: $(BUILD)/mini-cllm $(BUILD)/libcllm.a $(BUILD)/$(SHARED)

# ------------------------------------------------------------------------------------------------ compiling

# Changes when the compiler or its flags do, so that nothing stale is kept.
SETTINGS := $(CC) $(FLAGS) $(CFLAGS) $(strip $(PULL_MISSING)) $(SERVER_FLAGS)
$(BUILD)/settings: FORCE
	@mkdir -p $(@D)
	@echo '$(SETTINGS)' | cmp -s - $@ || echo '$(SETTINGS)' > $@

$(BUILD)/obj/%.o: %.c $(BUILD)/settings
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(FLAGS) $(if $(WERROR),-Werror) $(CFLAGS) $(OBJECT_FLAGS) -c $< -o $@

# The kernels of an instruction set are compiled with its instructions; the program checks the CPU before it calls them.
# Full debug information would take a third of the compile time in such long functions, so -g1 keeps line numbers only.
define compile_part
$(BUILD)/obj/%.$(1).o: %.c $(BUILD)/settings
	@mkdir -p $$(@D)
	$$(call say,CC,$$< ($(1)))$$(CC) $$(FLAGS) $$(if $$(WERROR),-Werror) $$(CFLAGS:-g=-g1) $$(KERNEL_FLAGS) $$(KERNEL_LOOPS) -DPART=PART_$(1) -c $$< -o $$@
endef
$(foreach part,$(KERNEL_PARTS),$(eval $(call compile_part,$(part))))
$(BUILD)/obj/src/cpu/kernels_avx2.%:   KERNEL_FLAGS = -mavx2 -mfma -mf16c
$(BUILD)/obj/src/cpu/kernels_avx512.%: KERNEL_FLAGS = -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vnni
$(BUILD)/obj/src/cpu/kernels_neon.%:   KERNEL_FLAGS = -march=armv8.2-a+dotprod
$(BUILD)/obj/src/cpu/kernels_i8mm.%:   KERNEL_FLAGS = -march=armv8.2-a+dotprod+i8mm

# Builds with sanitizers, or without optimization, do not unroll or inline the kernels. Sanitizers check each access all
# the same, and compiling takes a twentieth of the time.
PLAIN_LOOPS := -DUNROLLED= -Dalways_inline=unused -Wno-psabi
ifneq ($(SANITIZE)$(filter -O0,$(CFLAGS)),)
KERNEL_LOOPS := $(PLAIN_LOOPS)
endif

# The source text of the GPU kernels, which the GPU's API compiles when the program runs. Each file becomes a string,
# gpu_text_NAME.
KERNEL_TEXT := $(wildcard src/gpu/dialect.h src/gpu/kernel_args.h src/gpu/*.gpu)
$(BUILD)/obj/kernel_text.c: $(KERNEL_TEXT) Makefile
	@mkdir -p $(@D)
	@echo '#include "gpu/kernel_text.h"' >$@.new
	@for file in $(KERNEL_TEXT); do \
	    name=$${file##*/}; echo "const char gpu_text_$${name%.*}[] ="; \
	    sed -e 's/[\\"]/\\&/g' -e 's/.*/    "&\\n"/' $$file; echo '    ;'; \
	done >>$@.new
	@mv $@.new $@

$(BUILD)/obj/kernel_text.o: $(BUILD)/obj/kernel_text.c $(BUILD)/settings
	$(call say,CC,$<)$(CC) $(FLAGS) $(if $(WERROR),-Werror) $(CFLAGS) -c $< -o $@

# The files of the server's web page and the description of its API, unchanged. Each becomes a string, whose ETag is its
# checksum.
WEB_FILES := $(wildcard programs/server/web/*) programs/server/openapi.json
$(BUILD)/obj/web_files.c: $(WEB_FILES) Makefile
	@mkdir -p $(@D)
	@{ echo '#include "server/web_page.h"'; echo 'const web_file web_files[] = {'; \
	for file in $(WEB_FILES); do \
	    case $$file in \
	    *.html) type=text/html ;; *.js) type=text/javascript ;; *.css) type=text/css ;; *.svg) type=image/svg+xml ;; \
	    *.json) type=application/json ;; \
	    *) type=text/plain ;; \
	    esac; \
	    set -- $$(cksum <$$file); \
	    echo "    {\"/$${file##*/}\", \"$$type; charset=utf-8\", \"\\\"$$1-$$2\\\"\", (const unsigned char *)"; \
	    LC_ALL=C sed -e 's/[\\"?]/\\&/g' -e 's/.*/        "&\\n"/' $$file; \
	    echo "    , $$2},"; \
	done; echo '    {0}};'; } >$@.new
	@mv $@.new $@

$(BUILD)/obj/web_files.o: $(BUILD)/obj/web_files.c $(BUILD)/settings
	$(call say,CC,$<)$(CC) $(FLAGS) -Iprograms $(if $(WERROR),-Werror) $(CFLAGS) -c $< -o $@

# The program links jansson (for --json), the libraries that pull and serve need, and libedit (for line editing) if it
# is found. The library links none of them.
$(PROGRAM_OBJECTS): OBJECT_FLAGS = $(call need,jansson,libjansson-dev,mini-cllm)$(shell pkg-config --cflags jansson) $(PULL_FLAGS) \
    $(SERVER_FLAGS) -Iprograms
PROGRAM_LIBS = $(shell pkg-config --libs jansson) $(PULL_LIBS) $(SERVER_LIBS)
ifneq ($(shell pkg-config --exists libedit 2>/dev/null && echo yes),)
$(call object,programs/line_input.c): OBJECT_FLAGS = $(shell pkg-config --cflags libedit) -DHAVE_LIBEDIT
PROGRAM_LIBS += $(shell pkg-config --libs libedit)
endif
$(call object,tests/fuzz/fuzz_request.c tests/fuzz/fuzz_http.c): OBJECT_FLAGS = $(shell pkg-config --cflags jansson) $(SERVER_FLAGS) -Iprograms
$(call object,$(TEST_SOURCES) $(TOOL_SOURCES) $(KERNEL_TESTS)) $(SUPPORT_OBJECTS): OBJECT_FLAGS = -Itests \
    $(call need,cmocka,libcmocka-dev,make test,test)$(shell pkg-config --cflags cmocka)

# Regular expressions to compare pre-tokenizers with; without the library that test is skipped.
ifneq ($(shell pkg-config --exists libpcre2-8 2>/dev/null && echo yes),)
$(call object,tests/test_pretokenizer.c): OBJECT_FLAGS = -Itests $(shell pkg-config --cflags cmocka libpcre2-8) -DHAVE_PCRE2
$(BUILD)/tests/test_pretokenizer: TEST_LIBS = $(shell pkg-config --libs libpcre2-8)
endif

# This test uses files of the program, too.
$(call object,tests/test_web_page.c): OBJECT_FLAGS = -Itests -Iprograms $(shell pkg-config --cflags cmocka)
$(BUILD)/tests/test_web_page: $(call object,programs/server/web_page.c) $(BUILD)/obj/web_files.o

# test_engine counts allocations if the linker has --wrap and there is no sanitizer. test_memory lets them fail.
ifneq ($(UNAME),Darwin)
WRAPS_ALLOCATIONS := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(call object,tests/test_memory.c): OBJECT_FLAGS = -Itests $(shell pkg-config --cflags cmocka) -DREFUSES_ALLOCATIONS
$(BUILD)/tests/test_memory: TEST_LIBS = $(WRAPS_ALLOCATIONS)
ifndef SANITIZE
$(call object,tests/test_engine.c): OBJECT_FLAGS = -Itests $(shell pkg-config --cflags cmocka) -DCOUNTS_ALLOCATIONS
$(BUILD)/tests/test_engine: TEST_LIBS = $(WRAPS_ALLOCATIONS)
endif
endif

# The AVX-512 kernels over a model of their instructions, for tests on any CPU. The model needs some lines of plain C
# for each instruction. If all of them were inlined and unrolled, compiling would take minutes. All parts are compiled
# at once.
AVX512_MODEL := $(BUILD)/obj/tests/avx512_model/kernels_avx512.o
$(AVX512_MODEL): src/cpu/kernels_avx512.c $(BUILD)/settings
	@mkdir -p $(@D)
	$(call say,CC,$< (model))$(CC) $(FLAGS) $(if $(WERROR),-Werror) $(CFLAGS) -O1 $(PLAIN_LOOPS) -Itests/avx512_model -DVECTOR_REGISTER='"m"' \
	    -D__AVX512F__ -D__AVX512BW__ -D__AVX512VNNI__ -DISA=avx512_model \
	    -Dkernels_avx512=kernels_avx512_model -c $< -o $@
$(call object,tests/avx512_model/dispatch.c): OBJECT_FLAGS = -Itests

# ------------------------------------------------------------------------------------------------ linking

# One object in which only cllm_* is global, so that no name inside can clash with an embedder's. (Apple's linker
# makes hidden symbols local by itself here.)
$(BUILD)/libcllm.a: $(LIB_OBJECTS)
	$(call say,LD,$(BUILD)/cllm.o)$(CC) -r -nostdlib $^ -o $(BUILD)/cllm.o
ifneq ($(UNAME),Darwin)
	$(call say,OBJCOPY,$(BUILD)/cllm.o)$(OBJCOPY) --localize-hidden $(BUILD)/cllm.o
endif
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $(BUILD)/cllm.o

# The same with every name visible, for the tests.
$(BUILD)/internal.a: $(LIB_OBJECTS)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/$(SHARED): $(LIB_OBJECTS)
	$(call say,LD,$@)$(LINK) $(SHARED_LINK) $^ $(LIBS) -o $@

$(BUILD)/mini-cllm: $(PROGRAM_OBJECTS) $(if $(SANITIZE),$(call object,tests/support/sanitizers.c)) $(BUILD)/libcllm.a
	$(call say,LD,$@)$(LINK) $^ $(PROGRAM_LIBS) $(LIBS) -o $@
	$(if $(SERVER_LIBS),,@echo 'mini-cllm: built without serve, which needs libmicrohttpd; scripts/setup installs it')
	$(if $(PULL_LIBS),,@echo 'mini-cllm: built without pull, which needs $(strip $(PULL_MISSING)); scripts/setup installs them')

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(SUPPORT_OBJECTS) $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) $^ $(shell pkg-config --libs cmocka) $(TEST_LIBS) $(LIBS) -o $@

$(BUILD)/tests/test_avx512_model: $(AVX512_MODEL)

# The program that tests/check_metal.sh runs. It consists of few files, because it is linked again for each planted
# fault.
$(BUILD)/try_driver: $(call object,tests/lookalike/try_driver.c $(addprefix src/base/,error.c safe_text.c utf8.c)) \
    $(BUILD)/obj/kernel_text.o $(METAL_OBJECTS)
	$(call say,LD,$@)$(LINK) $^ $(LIBS) -o $@

$(BUILD)/check_avx512_model: $(call object,tests/check_kernels.c $(KERNEL_TESTS) tests/avx512_model/dispatch.c) $(AVX512_MODEL) \
    $(SUPPORT_OBJECTS) $(BUILD)/internal.a
	$(call say,LD,$@)$(LINK) $^ $(shell pkg-config --libs cmocka) $(LIBS) -o $@

$(BUILD)/check_kernels: $(call object,tests/check_kernels.c $(KERNEL_TESTS)) $(SUPPORT_OBJECTS) $(BUILD)/internal.a
	$(call say,LD,$@)$(LINK) $^ $(shell pkg-config --libs cmocka) $(LIBS) -o $@

# Stand-ins for NVIDIA's libraries, for tests on hosts without a GPU: LD_LIBRARY_PATH=$(BUILD)/lookalike_cuda. The
# headers beside them are for the kernels, which the stand-in for NVRTC compiles when the program runs.
LOOKALIKE_CUDA := $(addprefix $(BUILD)/lookalike_cuda/,libcuda.so.1 libnvrtc.so.13)
LOOKALIKE_CUDA_HEADERS := src/base/half.h tests/lookalike/fibers.h $(wildcard tests/lookalike_cuda/*.h)
$(call object,$(wildcard tests/lookalike_cuda/*.c)): OBJECT_FLAGS = -Itests

# Tests of the driver that are possible only with the stand-ins; tests/check_cuda.sh runs them.
$(BUILD)/lookalike_cuda/check_driver: $(call object,tests/lookalike_cuda/check_driver.c) $(SUPPORT_OBJECTS) \
    $(BUILD)/internal.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) $^ $(shell pkg-config --libs cmocka) $(LIBS) -o $@

$(BUILD)/lookalike_cuda/libcuda.so.1: $(call object,tests/lookalike_cuda/libcuda.c tests/lookalike/fibers.c)
$(BUILD)/lookalike_cuda/libnvrtc.so.13: $(call object,tests/lookalike_cuda/libnvrtc.c) $(BUILD)/lookalike_cuda/include
$(LOOKALIKE_CUDA):
	@mkdir -p $(@D)
	$(call say,LD,$@)$(LINK) -shared -Wl,-soname,$(@F) $(filter %.o,$^) -o $@

$(BUILD)/lookalike_cuda/include: $(LOOKALIKE_CUDA_HEADERS)
	@mkdir -p $@
	$(call say,CP,$@)cp $^ $@ && touch $@

# ------------------------------------------------------------------------------------------------ checking

# Tests over the look-alike of CUDA are skipped under a sanitizer.
tests: $(TESTS) $(if $(SANITIZE),,$(if $(filter Linux,$(UNAME)),$(LOOKALIKE_CUDA) $(BUILD)/lookalike_cuda/check_driver))

# The program and the GPU tests over the look-alike of Metal, if clang and the headers of Objective-C are installed.
OBJECTIVE_C := $(and $(filter Linux,$(UNAME)),$(shell command -v clang),$(wildcard $(shell gcc -print-file-name=include)/objc/objc.h))
lookalike:
ifneq ($(OBJECTIVE_C),)
ifndef SANITIZE
	@$(MAKE) -s LOOKALIKE=1 CC=clang CFLAGS='-O1 -g' BUILD=$(BUILD)/lookalike \
	    $(addprefix $(BUILD)/lookalike/,mini-cllm tests/test_gpu_driver tests/test_gpu_kernels tests/test_gpu_products \
    tests/test_gpu_session tests/test_gpu_spans)
endif
endif

# The program and the tests of the thread pool with the thread sanitizer, if the compiler has it. If this build fails,
# or the compiler warns, tests/check_threads.sh reports it.
THREADS := $(BUILD)/threads
threads:
ifndef SANITIZE
	@mkdir -p $(THREADS)
	@! echo 'int main(void) { return 0; }' | $(CC) -fsanitize=thread -x c - -o $(THREADS)/sanitized 2>/dev/null || \
	    $(MAKE) -s SANITIZE=thread CFLAGS='-O0 -g' WERROR= BUILD=$(THREADS) $(THREADS)/mini-cllm $(THREADS)/tests/test_base \
	    >$(THREADS)/log 2>&1 || rm -f $(THREADS)/mini-cllm
endif

# The program and the kernel tests for arm64, for tests/check_arm.sh, if the cross compiler and the emulator are
# installed. The cross compiler comes without jansson and cmocka. So tests/stand_in has the parts of cmocka that the
# kernel tests need, and the program is linked without jansson, which only --json calls.
ARM       := $(BUILD)/arm
ARM_TOOLS := aarch64-linux-gnu
arm:
ifndef SANITIZE
ifneq ($(and $(filter Linux,$(UNAME)),$(shell command -v $(ARM_TOOLS)-gcc),$(shell command -v qemu-aarch64)),)
	@mkdir -p $(ARM)/stand_in
	@cp -p "$$(pkg-config --variable=includedir jansson)"/jansson*.h tests/stand_in/* $(ARM)/stand_in
	@PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR='$(abspath $(ARM))/stand_in' $(MAKE) -s CC=$(ARM_TOOLS)-gcc AR=$(ARM_TOOLS)-ar \
	    OBJCOPY=$(ARM_TOOLS)-objcopy CFLAGS=-O1 LDFLAGS=-static WERROR= BUILD=$(ARM) $(ARM)/check_kernels \
	    $(ARM)/mini-cllm >$(ARM)/log 2>&1 || rm -f $(ARM)/mini-cllm
endif
endif

# Installs into a folder as packagers do, and installs and uninstalls in another; tests/check_install.sh looks at both.
stage: all
	@rm -rf $(BUILD)/staged $(BUILD)/unstaged
	@$(MAKE) -s install PREFIX=/opt/cllm DESTDIR=$(BUILD)/staged
	@$(MAKE) -s install PREFIX=/opt/cllm DESTDIR=$(BUILD)/unstaged
	@$(MAKE) -s uninstall PREFIX=/opt/cllm DESTDIR=$(BUILD)/unstaged

test: all tests stage lookalike threads arm
	@CC='$(CC)' SANITIZE='$(SANITIZE)' AGAIN='$(AGAIN)' tests/run.sh $(BUILD)

test-long:
	@MINICLLM_TEST_LONG=1 TEST_SECONDS=$${TEST_SECONDS:-10800} $(MAKE) test

FORMATTED := $(wildcard include/*.h src/*/*.[chm] programs/*.[ch] programs/*/*.[ch] tests/*.[ch] tests/*/*.[chm] examples/*.c)
check-format:
	@$(CLANG_FORMAT) --version | grep -q 'version 14' || { echo 'check-format needs clang-format 14' >&2; exit 1; }
	$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

format:
	$(CLANG_FORMAT) -i $(FORMATTED)

# The library is built once more, instrumented, under $(BUILD)/fuzz. Then libFuzzer runs each target once. Inputs that
# reach new code go to $(BUILD)/fuzz/corpus; an input that crashes a target stays in $(BUILD)/fuzz. If the machine
# pauses for a while, any input can look slow; so an input that was too slow (libFuzzer's status is 70) is tried again
# alone.
FUZZ_CHECKS := address,undefined
fuzz:
	$(MAKE) BUILD=$(BUILD)/fuzz CC=$(FUZZ_CC) SANITIZE=fuzzer-no-link,$(FUZZ_CHECKS) CFLAGS='-O1 -g' \
	    $(FUZZERS:%=fuzz-run-%)

$(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/internal.a
	$(call say,LD,$@)$(CC) $(CFLAGS) -pthread -fsanitize=fuzzer,$(FUZZ_CHECKS) $^ $(LIBS) -o $@

# These two test the code of the program, the server.
$(BUILD)/fuzz_request $(BUILD)/fuzz_http: $(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(filter-out %/main.o,$(PROGRAM_OBJECTS)) $(BUILD)/libcllm.a
	$(call say,LD,$@)$(CC) $(CFLAGS) -pthread -fsanitize=fuzzer,$(FUZZ_CHECKS) $^ $(PROGRAM_LIBS) $(LIBS) -o $@

fuzz-run-jinja: DICTIONARY := -dict=tests/fuzz/jinja.dict
fuzz-run-%: $(BUILD)/fuzz_%
	@mkdir -p $(BUILD)/corpus/$*
	@echo "fuzzing $* for $(FUZZ_SECONDS) s"
	@rm -f $(BUILD)/$*-timeout-*; all='-max_total_time=$(FUZZ_SECONDS) $(DICTIONARY) $(BUILD)/corpus/$* tests/fuzz/corpus/$*'; \
	fuzz() { $< -timeout=30 -rss_limit_mb=2048 -artifact_prefix=$(BUILD)/$*- "$$@" > $(BUILD)/$*.log 2>&1; }; \
	fuzz $$all || { [ $$? = 70 ] && fuzz $(BUILD)/$*-timeout-* && fuzz $$all; } || { cat $(BUILD)/$*.log; exit 1; }
	@tail -n 1 $(BUILD)/$*.log

# ------------------------------------------------------------------------------------------------ installing

BINDIR    = $(DESTDIR)$(PREFIX)/bin
LIBDIR    = $(DESTDIR)$(PREFIX)/lib
HEADERDIR = $(DESTDIR)$(PREFIX)/include
MANDIR    = $(DESTDIR)$(PREFIX)/share/man/man1
DOCDIR    = $(DESTDIR)$(PREFIX)/share/doc/mini-cllm

install: all
	mkdir -p "$(BINDIR)" "$(LIBDIR)/pkgconfig" "$(HEADERDIR)" "$(MANDIR)" "$(DOCDIR)"
	install -m 755 $(BUILD)/mini-cllm "$(BINDIR)"
	install -m 644 include/cllm.h "$(HEADERDIR)"
	install -m 644 $(BUILD)/libcllm.a "$(LIBDIR)"
	install -m 755 $(BUILD)/$(SHARED) "$(LIBDIR)"
ifeq ($(UNAME),Darwin)
	install_name_tool -id "$(PREFIX)/lib/libcllm.$(SOVERSION).dylib" "$(LIBDIR)/$(SHARED)"
endif
	$(foreach name,$(SONAMES),ln -sf $(SHARED) "$(LIBDIR)/$(name)" &&) true
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@SYSTEM_LIBS@|$(SYSTEM_LIBS)|' cllm.pc.in > "$(LIBDIR)/pkgconfig/cllm.pc"
	install -m 644 man/mini-cllm.1 "$(MANDIR)"
	install -m 644 LICENSE "$(DOCDIR)"

uninstall:
	rm -f "$(BINDIR)/mini-cllm" "$(HEADERDIR)/cllm.h" "$(LIBDIR)/libcllm.a" "$(LIBDIR)/$(SHARED)"
	rm -f $(foreach name,$(SONAMES),"$(LIBDIR)/$(name)") "$(LIBDIR)/pkgconfig/cllm.pc" "$(MANDIR)/mini-cllm.1"
	rm -rf "$(DOCDIR)"

clean:
	rm -rf $(BUILD)

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

FORCE:
.PHONY: all tests test test-long stage lookalike threads arm check-format format fuzz install uninstall clean help FORCE
.SECONDARY:
-include $(patsubst %.o,%.d,$(LIB_OBJECTS) $(PROGRAM_OBJECTS) $(SUPPORT_OBJECTS) $(AVX512_MODEL) \
    $(call object,$(TEST_SOURCES) $(KERNEL_TESTS) $(TOOL_SOURCES) $(FUZZ_SOURCES) tests/avx512_model/dispatch.c \
    tests/lookalike/fibers.c $(wildcard tests/lookalike_cuda/*.c)))
