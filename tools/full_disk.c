/* A disk that is full from the n-th time on that a command wants something of it.
 *
 *     full_disk N COUNTED FOLDER COMMAND...
 *
 * Below FOLDER, which must be an absolute path without links, what would take room is counted: new files and
 * folders, writes, syncs, new names and new lengths. From the N-th on each fails with ENOSPC; with 0 none does. How
 * many there were is written to the file COUNTED, and the exit code is the command's. Removing goes on working, as
 * it does on a full disk. $FULL_DISK_ERROR may be the number of another error than ENOSPC.
 *
 * The kernel asks this program about these calls (seccomp's user notification), because a preloaded library would
 * not see those that do not go through libc. Linux 5.5 or newer; no rights are needed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { OPEN_FILE, NEW_NAME };

/* What is counted: which argument is the open file, or the folder that a path starts from and the path. Without a
 * folder among the arguments it is -1: the path starts from the working folder. */
static const struct call { int number; enum kind kind; int at, path, flags; } CALLS[] = {
    {SYS_write, OPEN_FILE, 0, 0, -1}, {SYS_pwrite64, OPEN_FILE, 0, 0, -1},
    {SYS_writev, OPEN_FILE, 0, 0, -1}, {SYS_pwritev, OPEN_FILE, 0, 0, -1},
    {SYS_fsync, OPEN_FILE, 0, 0, -1}, {SYS_fdatasync, OPEN_FILE, 0, 0, -1},
    {SYS_ftruncate, OPEN_FILE, 0, 0, -1}, {SYS_fallocate, OPEN_FILE, 0, 0, -1},
    {SYS_sendfile, OPEN_FILE, 0, 0, -1}, {SYS_copy_file_range, OPEN_FILE, 2, 0, -1},
    {SYS_openat, NEW_NAME, 0, 1, 2}, {SYS_mkdirat, NEW_NAME, 0, 1, -1},
    {SYS_renameat, NEW_NAME, 2, 3, -1}, {SYS_renameat2, NEW_NAME, 2, 3, -1},
    {SYS_linkat, NEW_NAME, 2, 3, -1}, {SYS_symlinkat, NEW_NAME, 1, 2, -1},
#ifdef SYS_open
    {SYS_open, NEW_NAME, -1, 0, 1}, {SYS_creat, NEW_NAME, -1, 0, -1}, {SYS_mkdir, NEW_NAME, -1, 0, -1},
    {SYS_rename, NEW_NAME, -1, 1, -1}, {SYS_link, NEW_NAME, -1, 1, -1}, {SYS_symlink, NEW_NAME, -1, 1, -1},
#endif
};
enum { COUNT = sizeof CALLS / sizeof *CALLS };

static void fail(const char *what) {
    perror(what);
    exit(125);
}

/* In the command's process: from here on the kernel asks. Gives what it asks through. */
static int ask_for(void) {
    struct sock_filter filter[COUNT + 3];
    int length = 0;
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, COUNT - i, 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = {length, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("prctl");
    int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0) fail("seccomp");
    return listener;
}

static void send_file(int through, int file) {
    char byte = 0, room[CMSG_SPACE(sizeof file)] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof file)};
    memcpy(CMSG_DATA(header), &file, sizeof file);
    if (sendmsg(through, &message, 0) < 0) fail("sendmsg");
}

static int take_file(int through) {
    char byte, room[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(through, &message, 0) <= 0) exit(125);
    int file;
    memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof file);
    return file;
}

/* What a link below /proc/PID points to. */
static int points_to(char *found, size_t room, const char *format, int process, int file) {
    char link[64];
    snprintf(link, sizeof link, format, process, file);
    ssize_t length = readlink(link, found, room - 1);
    found[length < 0 ? 0 : length] = 0;
    return length > 0;
}

/* Whether a call takes room below a folder. */
static int takes_room(const struct seccomp_notif *asked, const char *folder) {
    const struct call *call = CALLS;
    while (call->number != asked->data.nr) call++;
    const __u64 *words = asked->data.args;
    char path[8192], start[4096];
    struct stat about;
    if (call->kind == OPEN_FILE) {
        if (!points_to(path, sizeof path, "/proc/%d/fd/%d", asked->pid, (int)words[call->at])) return 0;
        return !strncmp(path, folder, strlen(folder));
    }
    if (call->flags >= 0 && !(words[call->flags] & O_CREAT)) return 0;
    char *name = path + sizeof start;
    struct iovec here = {name, 4095}, there = {(void *)words[call->path], 4095};
    /* Beside the end of what the process has less is read; the path is there. */
    ssize_t length = process_vm_readv(asked->pid, &here, 1, &there, 1, 0);
    if (length <= 0) {
        there.iov_len = 4096 - words[call->path] % 4096;
        length = process_vm_readv(asked->pid, &here, 1, &there, 1, 0);
        if (length <= 0) return 0;
    }
    name[length] = 0;
    char whole[8192];
    snprintf(whole, sizeof whole, "%s", name);
    if (*name != '/') {
        int at = call->at < 0 ? AT_FDCWD : (int)words[call->at];
        int is_there = at == AT_FDCWD ? points_to(start, sizeof start, "/proc/%d/cwd", asked->pid, 0)
                                      : points_to(start, sizeof start, "/proc/%d/fd/%d", asked->pid, at);
        if (!is_there) return 0;
        snprintf(whole, sizeof whole, "%s/%s", start, name);
    }
    if (strncmp(whole, folder, strlen(folder))) return 0;
    /* To open what is there takes none. */
    return call->flags < 0 || lstat(whole, &about) != 0;
}

int main(int count, char **words) {
    if (count < 5) {
        fprintf(stderr, "full_disk N COUNTED FOLDER COMMAND...\n");
        return 125;
    }
    const char *other = getenv("FULL_DISK_ERROR");
    long from = atol(words[1]), counted = 0, error = other ? atol(other) : ENOSPC;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) fail("socketpair");
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (!child) {
        int listener = ask_for();
        send_file(ends[1], listener);
        close(listener);
        execvp(words[4], words + 4);
        fail(words[4]);
    }
    close(ends[1]);
    int listener = take_file(ends[0]);
    /* Room for what a newer kernel adds. */
    union { struct seccomp_notif asked; char room[512]; } question;
    union { struct seccomp_notif_resp answer; char room[512]; } reply;
    for (struct pollfd wait = {.fd = listener, .events = POLLIN}; poll(&wait, 1, -1) >= 0 || errno == EINTR;) {
        if (wait.revents & POLLHUP) break;
        memset(&question, 0, sizeof question);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question)) continue;
        memset(&reply, 0, sizeof reply);
        reply.answer.id = question.asked.id;
        if (takes_room(&question.asked, words[3]) && ++counted >= from && from > 0) {
            reply.answer.error = -error;
        } else {
            reply.answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        }
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
    }
    int status;
    if (waitpid(child, &status, 0) < 0) fail("waitpid");
    FILE *file = fopen(words[2], "w");
    if (!file || fprintf(file, "%ld\n", counted) < 0 || fclose(file)) fail(words[2]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
