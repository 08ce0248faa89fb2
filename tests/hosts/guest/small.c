// SPDX-License-Identifier: GPL-2.0-or-later
//
// The whole system of a lab guest that needs no Linux: a kernel that QEMU loads by itself (Multiboot), in a page of code. It
// boots in some milliseconds, where an emulated Linux computes for two seconds, and sleeps between two ticks.
//
// It prints on the serial console what a test needs to know, as "init" does in a Linux:
//   boot BOOTID               once; a new id means that the guest was started anew
//   tick BOOTID N UPTIME      ten times a second, or as "pause" says; UPTIME is the guest's own clock, in seconds
//   button BOOTID             at each press of the ACPI power button (virsh shutdown)
// A live migration is proven when BOOTID stays and N goes on.
//
// Words of its command line:
//   lab=tick|stubborn|dirty   stubborn: the power button is reported and otherwise ignored
//   full=N                    N MiB of its memory hold something (a Linux's memory does)
//   dirty=N dirtyrate=R       (lab=dirty) keep writing through N MiB, at R MiB/s at most (0: no limit)
//   crash=S                   panic S seconds after the boot
//   pause=S                   S seconds between two ticks (0.1)
//   button=reboot             the power button reboots it, and does not power it off

#include <stdint.h>

enum {
	SERIAL = 0x3f8, // COM1: its data, and five ports on its state
	SERIAL_READY = 0x20,
	PIC = 0x20,
	SECOND_PIC = 0xa0,
	PIT = 0x40,
	PIT_HZ = 1193182,
	RTC = 0x70,
	KEYBOARD = 0x64,
	RESET = 0xfe,
	PANIC = 0x505, // QEMU's pvpanic
	PANICKED = 1,
	// Where SeaBIOS puts a PIIX4's registers of ACPI.
	PM_STATUS = 0x600,
	PM_ENABLE = 0x602,
	PM_CONTROL = 0x604,
	PM_TIMER = 0x608,
	PM_TIMER_HZ = 3579545,
	POWER_BUTTON = 0x100,
	SOFT_OFF = 0x2000,

	TIMER_VECTOR = 32,
	VECTORS = 48,
	CODE = 8,
	INTERRUPT_GATE = 0x8e00,

	WAKES_A_SECOND = 20, // at least
	PAGE = 4096,
	PAGES_PER_MIB = 256,
	FREE = 4 << 20, // the first address that nobody else uses
};

// The Multiboot header, the entry, and flat segments.
asm(".section .text.multiboot, \"ax\"\n"
    "	.align 4\n"
    "	.long 0x1badb002, 0, -0x1badb002\n"
    "	.globl _start\n"
    "_start:\n"
    "	mov $stack + 8192, %esp\n"
    "	lgdt segments_at\n"
    "	ljmp $8, $1f\n"
    "1:	mov $16, %eax\n"
    "	mov %eax, %ds\n"
    "	mov %eax, %es\n"
    "	mov %eax, %ss\n"
    "	push %ebx\n"
    "	call begin\n"
    "segments:\n"
    "	.quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff\n"
    "segments_at:\n"
    "	.word 23\n"
    "	.long segments\n"
    "	.text\n");
__attribute__((used)) static char stack[8192];

static void out8(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static void out16(uint16_t port, uint16_t value) { asm volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint16_t in16(uint16_t port)
{
	uint16_t value;

	asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint32_t in32(uint16_t port)
{
	uint32_t value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

// What the other end of the line does not take is lost in the end: the guest must go on.
static void say_character(char c)
{
	for (unsigned patience = 1 << 16; patience > 0 && !(in8(SERIAL + 5) & SERIAL_READY); patience--)
		;
	out8(SERIAL, (uint8_t)c);
}

static void say(const char *text)
{
	for (; *text; text++)
		say_character(*text);
}

static void say_number(uint32_t number, uint32_t base, unsigned digits)
{
	if (digits > 1 || number >= base)
		say_number(number / base, base, digits > 1 ? digits - 1 : 1);
	say_character("0123456789abcdef"[number % base]);
}

static uint32_t boot;

static void say_of_boot(const char *what)
{
	say(what);
	say_character(' ');
	say_number(boot, 16, 8);
}

// Another number at each boot: the time of day, and how long it takes to ask the hardware for something, which an
// emulator does never in the same time.
static void draw_boot(void)
{
	uint32_t low;

	boot = 2166136261u;
	for (uint8_t at = 0; at < 128; at++) {
		out8(RTC, at % 10);
		boot = (boot ^ in8(RTC + 1)) * 16777619u;
		asm volatile("rdtsc" : "=a"(low)::"edx");
		boot = (boot ^ low) * 16777619u;
	}
	boot ^= boot >> 15;
}

static const char *command_line = "";

// Behind KEY= on the command line; the last one counts.
static const char *value_of(const char *key)
{
	const char *found = 0;

	for (const char *at = command_line; *at; at++) {
		const char *word = at + 1, *wanted = key;

		if (*at != ' ')
			continue;
		while (*wanted && *word == *wanted)
			word++, wanted++;
		if (!*wanted && *word == '=')
			found = word + 1;
	}
	return found;
}

static int is(const char *key, const char *value)
{
	const char *at = value_of(key);

	if (!at)
		return 0;
	while (*value && *at == *value)
		at++, value++;
	return !*value && (!*at || *at == ' ');
}

static uint32_t whole(const char **at)
{
	uint32_t number = 0;

	for (; **at >= '0' && **at <= '9'; ++*at)
		number = number * 10 + (uint32_t)(**at - '0');
	return number;
}

static uint32_t number(const char *key, uint32_t otherwise)
{
	const char *at = value_of(key);

	return at ? whole(&at) : otherwise;
}

// Seconds, in hundredths of one.
static uint32_t seconds(const char *key, uint32_t otherwise)
{
	const char *at = value_of(key);
	uint32_t hundredths;

	if (!at)
		return otherwise;
	hundredths = whole(&at) * 100;
	if (*at == '.') {
		for (uint32_t worth = 10; *++at >= '0' && *at <= '9'; worth /= 10)
			hundredths += worth * (uint32_t)(*at - '0');
	}
	return hundredths;
}

// Hundredths of a second since the boot.
static uint32_t uptime;

// The timer goes round in less than five seconds, and is asked many times a second.
static void look_at_clock(void)
{
	static uint32_t last, rest;
	static int is_asked;
	uint32_t now = in32(PM_TIMER) & 0xffffff;

	if (is_asked)
		rest += (now - last) & 0xffffff;
	is_asked = 1;
	last = now;
	uptime += rest / (PM_TIMER_HZ / 100);
	rest %= PM_TIMER_HZ / 100;
}

static volatile uint32_t wakes;

struct frame;

__attribute__((interrupt)) static void at_timer(struct frame *frame)
{
	(void)frame;
	wakes++;
	out8(PIC, 0x20);
}

__attribute__((interrupt)) static void at_nothing(struct frame *frame) { (void)frame; }

// Nothing but the timer wakes it, so often in `hundredths` of a second.
static void start_timer(uint32_t times, uint32_t hundredths)
{
	static uint32_t gates[VECTORS][2];
	static struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) gates_at = { sizeof(gates) - 1, 0 };
	uint32_t count = PIT_HZ / 100 * hundredths / times;

	for (unsigned vector = TIMER_VECTOR; vector < VECTORS; vector++) {
		uint32_t handler = (uint32_t)(vector == TIMER_VECTOR ? at_timer : at_nothing);

		gates[vector][0] = (CODE << 16) | (handler & 0xffff);
		gates[vector][1] = (handler & 0xffff0000) | INTERRUPT_GATE;
	}
	gates_at.base = (uint32_t)gates;
	asm volatile("lidt %0" ::"m"(gates_at));
	out8(PIC, 0x11);
	out8(PIC + 1, TIMER_VECTOR);
	out8(PIC + 1, 4);
	out8(PIC + 1, 1);
	out8(PIC + 1, 0xfe);
	out8(SECOND_PIC + 1, 0xff);
	out8(PIT + 3, 0x34);
	out8(PIT, count & 0xff);
	out8(PIT, count >> 8);
}

// Writes on through so many pages of memory, of `all`.
static void write_pages(uint32_t pages, uint32_t all)
{
	static uint32_t at, mark;

	for (; pages > 0; pages--) {
		*(volatile uint32_t *)(FREE + at * PAGE) = ++mark;
		at = at + 1 < all ? at + 1 : 0;
	}
}

static void end(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

static void hear_button(void)
{
	if (!(in16(PM_STATUS) & POWER_BUTTON))
		return;
	out16(PM_STATUS, POWER_BUTTON);
	say_of_boot("button");
	say("\r\n");
	if (is("button", "reboot")) {
		out8(KEYBOARD, RESET);
		end();
	} else if (!is("lab", "stubborn")) {
		out16(PM_CONTROL, SOFT_OFF);
		end();
	}
}

struct multiboot {
	uint32_t flags, low_kib, high_kib, boot_device, command_line;
};

// The pages that it may write to. A megabyte below the end is the firmware's.
static uint32_t free_pages(const struct multiboot *given)
{
	uint32_t kib = given->high_kib & ~3u;

	return kib < 5 << 10 ? 0 : (kib - (4 << 10)) / 4;
}

static uint32_t pages(const struct multiboot *given, const char *key, uint32_t mib)
{
	uint32_t wanted = number(key, mib) * PAGES_PER_MIB, there = free_pages(given);

	if (wanted > there) {
		say("there is less memory than ");
		say(key);
		say(" asks for\r\n");
	}
	return wanted < there ? wanted : there;
}

__attribute__((used, noreturn)) static void begin(const struct multiboot *given)
{
	uint32_t pause, times, dirty, rate, crash, owed = 0, ticks = 0, seen = 0;

	draw_boot();
	command_line = (const char *)given->command_line;
	say_of_boot("boot");
	say(" lab=small\r\n");
	look_at_clock();
	out16(PM_STATUS, POWER_BUTTON);
	out16(PM_ENABLE, POWER_BUTTON);
	write_pages(pages(given, "full", 0), free_pages(given));
	dirty = is("lab", "dirty") ? pages(given, "dirty", 64) : 0;
	rate = number("dirtyrate", 0);
	crash = seconds("crash", 0);
	pause = seconds("pause", 10);
	pause = pause ? pause : 1;
	times = (pause * WAKES_A_SECOND + 99) / 100;
	start_timer(times, pause);
	if (dirty) {
		say("dirty ");
		say_number(dirty / PAGES_PER_MIB, 10, 1);
		say(" MiB\r\n");
	}
	for (;;) {
		uint32_t before = uptime;

		look_at_clock();
		if (seen == 0 || wakes - seen >= times) {
			seen = wakes ? wakes : 1;
			say_of_boot("tick");
			say_character(' ');
			say_number(++ticks, 10, 1);
			say_character(' ');
			say_number(uptime / 100, 10, 1);
			say_character('.');
			say_number(uptime % 100, 10, 2);
			say("\r\n");
		}
		if (crash && uptime >= crash) {
			say_of_boot("crash");
			say("\r\n");
			out8(PANIC, PANICKED);
			end();
		}
		hear_button();
		if (dirty && !rate) {
			asm volatile("sti");
			write_pages(PAGES_PER_MIB, dirty);
			continue;
		}
		owed += (uptime - before) * rate * PAGES_PER_MIB;
		if (dirty)
			write_pages(owed / 100, dirty);
		owed %= 100;
		asm volatile("sti; hlt; cli");
	}
}
