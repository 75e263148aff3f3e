/*
 * What the person at a serial line or a hypervisor's log sees: iPXE's own words, not only the kernel's. Off upstream
 * because a board may have something else at that port.
 */
#define CONSOLE_SERIAL
