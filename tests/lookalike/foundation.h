/* What metal.m needs of the stand-in for Foundation beside Apple's own names. */
#pragma once
#import <Foundation/Foundation.h>

/* Ends the program unless an autorelease pool is open. Without one, objects that Apple's framework autoreleases in this
 * method would leak. */
void foundation_need_pool(const char *method);

/* Autoreleased. */
NSError *foundation_error(const char *description);

/* Owned. objects: [count], retained. */
NSArray *foundation_array(NSObject *const *objects, NSUInteger count);
