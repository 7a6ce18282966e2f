/* The kernel text as strings, which the Makefile makes from the files with these names. After it: program.c, which puts
 * them together. */
#ifndef GPU_KERNEL_TEXT_H
#define GPU_KERNEL_TEXT_H

extern const char gpu_text_dialect[], gpu_text_kernel_args[], gpu_text_quants[], gpu_text_kernels[], gpu_text_tiles[],
    gpu_text_products[];

#endif
