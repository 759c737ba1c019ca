/* The floor of forwarding: what comes in by UDP goes out to all receivers as it is.
 *
 * A datagram that begins with 'R' registers its sender as a receiver. The port is written to
 * standard output. recvmmsg with UDP_GRO in; out, for each receiver and batch, one sendmsg per
 * run of equal sizes with UDP_SEGMENT. One thread, waiting in poll. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { BATCH = 16, BUFFER = 65536, RECEIVERS = 4096, DATAGRAMS = 1024, SEGMENTS = 64, MESSAGE = 65000 };

static unsigned char buffers[BATCH][BUFFER];
static struct sockaddr_in names[BATCH], receivers[RECEIVERS];
static char controls[BATCH][64];
static struct iovec datagrams[DATAGRAMS];
static int receiver_count, datagram_count;

/* Cuts what GRO put together; keeps media, takes note of registrations. */
static void take(int n, struct msghdr *header, unsigned length)
{
    unsigned segment = length;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            segment = (unsigned)size;
        }
    if (length > 0 && buffers[n][0] == 'R') {
        if (receiver_count < RECEIVERS)
            receivers[receiver_count++] = names[n];
        return;
    }
    for (unsigned at = 0; at < length && datagram_count < DATAGRAMS; at += segment) {
        unsigned left = length - at;
        datagrams[datagram_count].iov_base = buffers[n] + at;
        datagrams[datagram_count++].iov_len = left < segment ? left : segment;
    }
}

/* How many datagrams from `first` on can be one message: equal sizes, the last may be shorter. */
static int run_of(int first)
{
    size_t segment = datagrams[first].iov_len, total = 0;
    int n = 0;
    while (first + n < datagram_count && n < SEGMENTS) {
        size_t size = datagrams[first + n].iov_len;
        if (size > segment || (total += size) > MESSAGE)
            break;
        n++;
        if (size < segment)
            break;
    }
    return n;
}

static void forward(int fd)
{
    union { char bytes[CMSG_SPACE(sizeof(uint16_t))]; struct cmsghdr align; } control;
    for (int r = 0; r < receiver_count; r++)
        for (int first = 0, n; first < datagram_count; first += n) {
            n = run_of(first);
            struct msghdr header = {
                .msg_name = &receivers[r], .msg_namelen = sizeof receivers[r],
                .msg_iov = &datagrams[first], .msg_iovlen = (size_t)n,
            };
            if (n > 1) {
                uint16_t segment = (uint16_t)datagrams[first].iov_len;
                header.msg_control = control.bytes;
                header.msg_controllen = sizeof control.bytes;
                struct cmsghdr *c = CMSG_FIRSTHDR(&header);
                c->cmsg_level = SOL_UDP;
                c->cmsg_type = UDP_SEGMENT;
                c->cmsg_len = CMSG_LEN(sizeof segment);
                memcpy(CMSG_DATA(c), &segment, sizeof segment);
            }
            sendmsg(fd, &header, MSG_DONTWAIT);
        }
}

int main(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, size = 16 << 20;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0)
        return 1;
    setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    struct mmsghdr headers[BATCH];
    struct iovec slices[BATCH];
    for (;;) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        poll(&ready, 1, -1);
        for (int n = 0; n < BATCH; n++) {
            slices[n] = (struct iovec){ buffers[n], BUFFER };
            headers[n].msg_hdr = (struct msghdr){
                .msg_name = &names[n], .msg_namelen = sizeof names[n],
                .msg_iov = &slices[n], .msg_iovlen = 1,
                .msg_control = controls[n], .msg_controllen = sizeof controls[n],
            };
        }
        int count = recvmmsg(fd, headers, BATCH, MSG_DONTWAIT, NULL);
        datagram_count = 0;
        for (int n = 0; n < count; n++)
            take(n, &headers[n].msg_hdr, headers[n].msg_len);
        forward(fd);
    }
}
