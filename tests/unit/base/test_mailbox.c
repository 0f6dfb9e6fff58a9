// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include <pthread.h>

#include "base/mailbox.h"

enum { SENDERS = 4, LETTERS = 5000 };

struct office {
    struct loop *loop;
    struct mailbox *mailbox;
    pthread_t loop_thread;
    int delivered;
    int last[SENDERS];
};

struct numbered {
    struct letter letter;
    struct office *office;
    int sender, number;
};

struct sender {
    struct office *office;
    int index;
    struct numbered *letters;
};

static int office_setup(void **state)
{
    struct error err = ERROR_INIT;
    struct office *office = mem_new(struct office);
    office->loop = loop_new(&err);
    office->mailbox = mailbox_new(office->loop, &err);
    office->loop_thread = pthread_self();
    *state = office;
    return office->mailbox ? 0 : -1;
}

static int office_teardown(void **state)
{
    struct office *office = *state;
    mailbox_free(office->mailbox);
    loop_free(office->loop);
    free(office);
    return 0;
}

static void deliver(struct letter *letter)
{
    struct numbered *numbered = container_of(letter, struct numbered, letter);
    struct office *office = numbered->office;
    assert_true(pthread_equal(pthread_self(), office->loop_thread));
    assert_int_equal(numbered->number, office->last[numbered->sender] + 1);
    office->last[numbered->sender]++;
    if (++office->delivered == SENDERS * LETTERS)
        loop_stop(office->loop);
}

static struct numbered numbered(struct office *office, int sender, int number)
{
    return (struct numbered){.letter.deliver = deliver, .office = office, .sender = sender, .number = number};
}

static void *send_all(void *arg)
{
    struct sender *sender = arg;
    for (int i = 0; i < LETTERS; i++) {
        sender->letters[i] = numbered(sender->office, sender->index, i + 1);
        mailbox_post(sender->office->mailbox, &sender->letters[i].letter);
    }
    return NULL;
}

// Each letter once, on the loop, in the order of its sender.
static void test_many_senders(void **state)
{
    struct office *office = *state;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){office, i, mem_calloc(LETTERS, sizeof(struct numbered))};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    loop_run(office->loop);
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(office->last[i], LETTERS);
        free(senders[i].letters);
    }
    assert_int_equal(office->delivered, SENDERS * LETTERS);
}

static void test_drain(void **state)
{
    struct office *office = *state;
    struct numbered first = numbered(office, 0, 1), second = numbered(office, 0, 2);
    mailbox_drain(office->mailbox);
    mailbox_post(office->mailbox, &first.letter);
    mailbox_post(office->mailbox, &second.letter);
    assert_int_equal(office->delivered, 0);
    mailbox_drain(office->mailbox);
    assert_int_equal(office->delivered, 2);
}

struct chain {
    struct letter letter;
    struct office *office;
    int left;
};

static void post_again(struct letter *letter)
{
    struct chain *chain = container_of(letter, struct chain, letter);
    chain->office->delivered++;
    if (--chain->left)
        mailbox_post(chain->office->mailbox, letter);
}

// A letter may be posted again as soon as it is delivered, and the end of the mailbox loses none.
static void test_free_delivers_the_rest(void **state)
{
    struct office *office = *state;
    struct chain chain = {.letter.deliver = post_again, .office = office, .left = 3};
    mailbox_post(office->mailbox, &chain.letter);
    mailbox_free(office->mailbox);
    assert_int_equal(office->delivered, 3);
    office->mailbox = NULL;
    mailbox_free(NULL);
}

static void stop_after_three(struct letter *letter)
{
    struct chain *chain = container_of(letter, struct chain, letter);
    if (--chain->left)
        mailbox_post(chain->office->mailbox, letter);
    else
        loop_stop(chain->office->loop);
}

// Posting from a delivery wakes the loop again.
static void test_post_from_delivery(void **state)
{
    struct office *office = *state;
    struct chain chain = {.letter.deliver = stop_after_three, .office = office, .left = 3};
    mailbox_post(office->mailbox, &chain.letter);
    loop_run(office->loop);
    assert_int_equal(chain.left, 0);
}

#define office_test(function) cmocka_unit_test_setup_teardown(function, office_setup, office_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        office_test(test_many_senders),
        office_test(test_drain),
        office_test(test_free_delivers_the_rest),
        office_test(test_post_from_delivery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
