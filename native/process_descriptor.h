// A descriptor of another process.
#pragma once

namespace tapbridge {

// A duplicate of the process's descriptor (pidfd_getfd, Linux 5.6), or -errno. It is the caller's to close.
int process_descriptor(int pid, int descriptor);

}  // namespace tapbridge
