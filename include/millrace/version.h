/* version.h - the three numbers a user can meet: program, language, state format. Thread: any. */
#ifndef MILLRACE_VERSION_H
#define MILLRACE_VERSION_H

#define MR_VERSION "0.1.0"
enum {
    MR_LANGUAGE_VERSION = 1,
    MR_STATE_FORMAT_MAJOR = 1,
    MR_STATE_FORMAT_MINOR = 2,
    MR_OPERATOR_ABI = 1
};

#endif
