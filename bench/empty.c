/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nothing: what the start and the end of any dynamically linked program cost. */

int main(void)
{
	return 0;
}
