/* Objects that are counted. An object that is released too often, or autoreleased without a pool, ends the program.
 * Objects that are left when the program ends are listed, and the program fails. */
#include "foundation.h"

#include "fibers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAKED = 99 }; /* exit status */

/* The runtime's own memory stays until the end. The leak sanitizer, if there is one, calls this function. */
const char *__lsan_default_suppressions(void) __attribute__((visibility("default"), weak)); /* tests define it, too */
const char *__lsan_default_suppressions(void) { return "leak:libobjc\n"; }

/* How many objects of each class are alive. */
static struct {
    Class of;
    long n;
} alive[32];

static void report_leaks(void) {
    bool leaked = false;
    for (size_t i = 0; i < sizeof alive / sizeof *alive; i++) {
        if (alive[i].n == 0) continue;
        fprintf(stderr, "look-alike: leaked at exit: %ld of %s\n", alive[i].n, class_getName(alive[i].of));
        leaked = true;
    }
    if (!leaked) return;
    fflush(NULL);
    _exit(LEAKED);
}

static void count(Class of, long more) {
    static bool registered;
    if (!registered) atexit(report_leaks);
    registered = true;
    size_t i = 0;
    while (alive[i].of && alive[i].of != of) i++;
    alive[i].of = of;
    alive[i].n += more;
}

/* A released object keeps its memory for a while, so that one more message to it is noticed. */
static void dispose_later(NSObject *object) {
    static NSObject *gone[1024];
    static size_t next;
    if (gone[next]) object_dispose(gone[next]);
    gone[next] = object;
    next = (next + 1) % (sizeof gone / sizeof *gone);
}

struct autoreleased {
    NSObject *object;
    struct autoreleased *next;
};
static _Thread_local NSAutoreleasePool *pool; /* the innermost */

void foundation_need_pool(const char *method) {
    if (!pool) fibers_fatal("%s is called without an autorelease pool", method);
}

@implementation NSAutoreleasePool
- (id)init {
    around = pool;
    pool = self;
    return self;
}
- (void)drain {
    if (pool != self) fibers_fatal("an autorelease pool is drained that is not the innermost");
    while (list) {
        struct autoreleased *first = list;
        list = first->next;
        [first->object release];
        free(first);
    }
    pool = around;
    [super release];
}
- (void)release {
    [self drain];
}
- (void)add:(NSObject *)object {
    struct autoreleased *first = malloc(sizeof *first);
    if (!first) fibers_fatal("no memory");
    *first = (struct autoreleased){object, list};
    list = first;
}
@end

@implementation NSObject
+ (id)alloc {
    NSObject *object = class_createInstance(self, 0);
    object->retains = 1;
    count(self, 1);
    return object;
}
+ (id)new {
    return [[self alloc] init];
}
+ (Class)class {
    return self;
}
- (id)init {
    return self;
}
- (void)dealloc {
    count(object_getClass(self), -1);
    dispose_later(self);
}
- (id)retain {
    if (retains == 0) fibers_fatal("a %s is retained after its last release", object_getClassName(self));
    retains++;
    return self;
}
- (void)release {
    if (retains == 0) fibers_fatal("a %s is released too often", object_getClassName(self));
    if (--retains == 0) [self dealloc];
}
- (id)autorelease {
    foundation_need_pool("autorelease");
    [pool add:self];
    return self;
}
- (NSUInteger)retainCount {
    return retains;
}
- (BOOL)respondsToSelector:(SEL)selector {
    return class_respondsToSelector(object_getClass(self), selector);
}
@end

@implementation NSString
+ (id)stringWithUTF8String:(const char *)bytes {
    NSString *string = [[self alloc] init];
    string->text = strdup(bytes);
    return [string autorelease];
}
- (const char *)UTF8String {
    return text;
}
- (NSUInteger)length {
    return strlen(text);
}
- (void)dealloc {
    free(text);
    [super dealloc];
}
@end

@implementation NSArray
- (NSUInteger)count {
    return count;
}
- (id)objectAtIndex:(NSUInteger)index {
    if (index >= count) fibers_fatal("an array has no object %lu", index);
    return objects[index];
}
- (id)initWith:(NSObject *const *)objects_ count:(NSUInteger)count_ {
    objects = calloc(count_ + 1, sizeof *objects);
    count = count_;
    for (NSUInteger i = 0; i < count; i++) objects[i] = [objects_[i] retain];
    return self;
}
- (void)dealloc {
    for (NSUInteger i = 0; i < count; i++) [objects[i] release];
    free(objects);
    [super dealloc];
}
@end

NSArray *foundation_array(NSObject *const *objects, NSUInteger count) {
    return [[NSArray alloc] initWith:objects count:count];
}

@implementation NSError
- (id)initWith:(const char *)text {
    description = [[NSString stringWithUTF8String:text] retain];
    return self;
}
- (NSString *)localizedDescription {
    return description;
}
- (void)dealloc {
    [description release];
    [super dealloc];
}
@end

NSError *foundation_error(const char *description) { return [[[NSError alloc] initWith:description] autorelease]; }
