/* The structs behind the buffers of each kernel, shared by the kernel text and the host: 32-bit fields alone, which all
 * compilers lay out alike. */
