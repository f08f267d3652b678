/*
 * Draws on the guest's screen and says what is typed and pointed at it, for tests that look at it from outside:
 *   screen paint [map]     fills /dev/fb0 with a pattern, by write(2) or through a mapping
 *   screen size W H        gives it another size
 *   screen watch SECONDS   prints "EVENT type code value" for each input event, but EV_SYN and EV_MSC
 * The pattern has tiles of 1, 2, 4, 16 and many colours.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fb.h>
#include <linux/input.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MAX_DEVICES = 8 };

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static uint32_t pattern(uint32_t x, uint32_t y)
{
    if (y < 64)
        return 0x204060;
    if (y < 128)
        return (x / 8 + y / 8) % 2 ? 0xffffff : 0x000080;
    if (y < 192)
        return (x / 4) % 4 * 0x3f5511;
    if (y < 256)
        return (x + y) % 16 * 0x0f1011;
    return (x & 255) << 16 | (y & 255) << 8 | ((x ^ y) & 255);
}

static int paint(int map)
{
    struct fb_var_screeninfo var;
    struct fb_fix_screeninfo fix;
    int fd = open("/dev/fb0", O_RDWR);
    if (fd < 0 || ioctl(fd, FBIOGET_VSCREENINFO, &var) || ioctl(fd, FBIOGET_FSCREENINFO, &fix))
        return fail("/dev/fb0");
    size_t bytes = (size_t)fix.line_length * var.yres;
    uint8_t *pixels = map ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : malloc(bytes);
    if (pixels == MAP_FAILED || pixels == NULL)
        return fail("mmap");
    for (uint32_t y = 0; y < var.yres; y++)
        for (uint32_t x = 0; x < var.xres; x++)
            ((uint32_t *)(pixels + (size_t)y * fix.line_length))[x] = pattern(x, y);
    if (!map && write(fd, pixels, bytes) != (ssize_t)bytes)
        return fail("write");
    printf("painted %ux%u\n", var.xres, var.yres);
    return 0;
}

static int resize(uint32_t width, uint32_t height)
{
    struct fb_var_screeninfo var;
    int fd = open("/dev/fb0", O_RDWR);
    if (fd < 0 || ioctl(fd, FBIOGET_VSCREENINFO, &var))
        return fail("/dev/fb0");
    var.xres = var.xres_virtual = width;
    var.yres = var.yres_virtual = height;
    var.activate = FB_ACTIVATE_NOW;
    return ioctl(fd, FBIOPUT_VSCREENINFO, &var) ? fail("FBIOPUT_VSCREENINFO") : 0;
}

static int watch(int seconds)
{
    struct pollfd devices[MAX_DEVICES];
    int count = 0;
    for (int i = 0; i < MAX_DEVICES; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/input/event%d", i);
        int fd = open(path, O_RDONLY);
        if (fd >= 0)
            devices[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    printf("watching %d devices\n", count);
    fflush(stdout);
    time_t end = time(NULL) + seconds;
    while (time(NULL) < end && poll(devices, count, 200) >= 0)
        for (int i = 0; i < count; i++) {
            struct input_event e;
            if (!(devices[i].revents & POLLIN) || read(devices[i].fd, &e, sizeof e) != sizeof e)
                continue;
            if (e.type != EV_SYN && e.type != EV_MSC)
                printf("EVENT %d %d %d\n", e.type, e.code, e.value);
            fflush(stdout);
        }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && !strcmp(argv[1], "paint"))
        return paint(argc == 3);
    if (argc == 4 && !strcmp(argv[1], "size"))
        return resize(atoi(argv[2]), atoi(argv[3]));
    if (argc == 3 && !strcmp(argv[1], "watch"))
        return watch(atoi(argv[2]));
    fprintf(stderr, "usage: screen paint [map] | size W H | watch SECONDS\n");
    return 2;
}
