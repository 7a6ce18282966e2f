/* Stands in for those names of Apple's Foundation that driver_metal.m uses, over the GNU Objective-C runtime. */
#pragma once
#include <objc/objc.h>
#include <objc/runtime.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned long NSUInteger;
typedef long NSInteger;

@class NSString;

@protocol NSObject
- (id)retain;
- (void)release;
- (id)autorelease;
- (NSUInteger)retainCount;
- (BOOL)respondsToSelector:(SEL)selector;
@end

__attribute__((objc_root_class))
@interface NSObject<NSObject> {
    Class isa;
    NSUInteger retains;
}
+ (id)alloc;
+ (id)new;
+ (Class)class;
- (id)init;
- (void)dealloc;
@end

@interface NSAutoreleasePool : NSObject {
    struct autoreleased *list;
    NSAutoreleasePool *around;
}
- (void)drain;
@end

@interface NSString : NSObject {
    char *text;
}
+ (id)stringWithUTF8String:(const char *)text;
- (const char *)UTF8String;
- (NSUInteger)length;
@end

@interface NSArray<ObjectType> : NSObject {
    NSObject **objects;
    NSUInteger count;
}
- (NSUInteger)count;
- (ObjectType)objectAtIndex:(NSUInteger)index;
@end

@interface NSError : NSObject {
    NSString *description;
}
- (NSString *)localizedDescription;
@end
