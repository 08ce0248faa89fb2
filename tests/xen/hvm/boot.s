# SPDX-License-Identifier: GPL-2.0-or-later
#
# The whole system of an HVM guest: a boot sector that knows nothing of Xen, so nothing but the power button of its emulated
# hardware asks it to shut down. It prints on its serial port what guest/init prints:
#   boot BOOTID          once; the processor's time stamp at the boot
#   tick BOOTID N TIME   twice a second; TIME is the BIOS's, in 18ths of a second
#   asked BOOTID         when the power button was pressed; then it turns the power off, unless DEAF is 1
.code16
.text
.globl _start
.set PM1_STATUS, 0xb000         # where hvmloader puts ACPI's registers
.set PM1_CONTROL, 0xb004
.set POWER_BUTTON, 0x100
.set SLEEP_NOW, 0x2000          # into the state 0, which is "soft off"
.set SERIAL, 0x3f8
.set BIOS_TIME, 0x46c
.set HALF_A_SECOND, 9

_start:
	ljmp $0, $begin
begin:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	cld
	rdtsc
	movl %eax, boot
	movw $said_boot, %si
	call line
	sti
again:
	movw $said_tick, %si
	call print
	incl count
	movl count, %eax
	call decimal
	movb $' ', %al
	call character
	movl BIOS_TIME, %eax
	call decimal
	call end_of_line
	movl BIOS_TIME, %ebp
	addl $HALF_A_SECOND, %ebp
wait:
	hlt
	movw $PM1_STATUS, %dx
	inw %dx, %ax
	testw $POWER_BUTTON, %ax
	jz unasked
	movw $POWER_BUTTON, %ax
	outw %ax, %dx
	movw $said_asked, %si
	call line
.if !DEAF
	movw $PM1_CONTROL, %dx
	movw $SLEEP_NOW, %ax
	outw %ax, %dx
.endif
unasked:
	cmpl %ebp, BIOS_TIME
	jb wait
	jmp again

# The text at %si with the boot behind it, and the end of the line.
line:
	call print
	jmp end_of_line
# The text at %si with the boot behind it.
print:
	lodsb
	testb %al, %al
	jz of_boot
	call character
	jmp print
of_boot:
	movl boot, %ebx
	movw $8, %cx
digit:
	roll $4, %ebx
	movb %bl, %al
	andb $15, %al
	addb $'0', %al
	cmpb $'9', %al
	jbe is_digit
	addb $('a' - '9' - 1), %al
is_digit:
	call character
	loop digit
	movb $' ', %al
	cmpw $said_asked, %si
	ja no_blank             # behind "boot" and "asked" the line ends
	call character
no_blank:
	ret

# The number in %eax.
decimal:
	xorl %edx, %edx
	movl $10, %ecx
	divl %ecx
	pushw %dx
	testl %eax, %eax
	jz last
	call decimal
last:
	popw %ax
	addb $'0', %al
	jmp character

end_of_line:
	movb $'\n', %al
# The character in %al.
character:
	pushw %dx
	movw $SERIAL, %dx
	outb %al, %dx
	popw %dx
	ret

said_tick:  .asciz "tick "
said_asked: .asciz "asked "
said_boot:  .asciz "boot "
boot:       .long 0
count:      .long 0

	.org 510
	.byte 0x55, 0xaa
