/** Numbers of the server as people read them. */

/** An amount, e.g. `$15.00`. */
export function dollars(amount: number): string {
  return `$${amount.toFixed(2)}`;
}

export function percent(share: number): string {
  return `${Math.round(share)} %`;
}

/** E.g. `3 min`, `2 h 5 min`. */
export function minutes(amount: number): string {
  if (amount < 1) return "less than a minute";
  const whole = Math.round(amount);
  return whole < 60 ? `${whole} min` : `${Math.floor(whole / 60)} h ${whole % 60} min`;
}

/** A number with the digits that tell something. */
export function figure(value: number): string {
  return Number(value.toPrecision(4)).toString();
}
