/*
 * task_fake.h - a task of one's own: what file sources and sinks ask of the runtime. For one test
 * file.
 */
#ifndef MR_TESTS_UNIT_FILES_TASK_FAKE_H
#define MR_TESTS_UNIT_FILES_TASK_FAKE_H

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include <millrace/operator.h>
#include <millrace/source.h>
#include <stdarg.h>
#include <stdio.h>

struct mr_task {
    mr_arena *arena;
    mr_diag diag;
    uint32_t partition, rows_max, bytes_max;
    int watched; /* Descriptor, -1 = none. */
    uint32_t rejected_count;
    mr_row_error rejected[64];
};

mr_arena *mr_task_arena(mr_task *task)
{
    return task->arena;
}

mr_diag *mr_task_diag(mr_task *task)
{
    return &task->diag;
}

uint32_t mr_task_partition(const mr_task *task)
{
    return task->partition;
}

uint32_t mr_task_rows_max(const mr_task *task)
{
    return task->rows_max;
}

uint32_t mr_task_bytes_max(const mr_task *task)
{
    return task->bytes_max;
}

int64_t mr_task_wall_us(const mr_task *task)
{
    (void)task;
    return INT64_C(1767225605000000);
}

mr_status mr_task_watch(mr_task *task, int descriptor)
{
    task->watched = descriptor;
    return MR_OK;
}

void mr_task_reject(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error)
{
    MR_ASSERT(row < in->row_count && task->rejected_count < MR_LENGTH(task->rejected));
    task->rejected[task->rejected_count++] = error;
}

void mr_task_reject_column(mr_task *task, const mr_batch *in, uint32_t row, mr_row_error error,
                           const char *column)
{
    (void)column;
    mr_task_reject(task, in, row, error);
}

mr_step mr_task_fail(mr_task *task, mr_status status, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)!mr_diag_set(&task->diag, status, 0, "%s", text);
    return MR_STEP_FAILED;
}

mr_status mr_plan_error(mr_plan_node *node, const char *option, uint16_t code, const char *hint,
                        const char *format, ...)
{
    (void)node;
    (void)code;
    MR_ASSERT(option != NULL && hint != NULL && format != NULL);
    return MR_ERR_CONFIG;
}

static mr_task task_make(mr_arena *arena)
{
    return (mr_task){.arena = arena, .rows_max = 1024, .bytes_max = 1 << 20, .watched = -1};
}

#endif
