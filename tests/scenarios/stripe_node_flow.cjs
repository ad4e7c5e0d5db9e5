// The main flows of a small shop through stripe-node, as an application written in JavaScript does them.
// Usage: NODE_PATH=…/node_modules node stripe_node_flow.cjs PORT KEY; prints one JSON object.
const Stripe = require('stripe');

const [port, key] = process.argv.slice(2);
const stripe = new Stripe(key, { host: '127.0.0.1', port: Number(port), protocol: 'http', maxNetworkRetries: 0, telemetry: false });

async function refusalOf(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { kind: error.constructor.name, code: error.code, decline: error.decline_code ?? null, status: error.statusCode };
  }
}

async function main() {
  const customer = await stripe.customers.create({ email: 'node@example.com', payment_method: 'pm_card_visa', metadata: { from: 'node' } });
  const [method] = (await stripe.customers.listPaymentMethods(customer.id)).data;
  await stripe.customers.update(customer.id, { invoice_settings: { default_payment_method: method.id } });
  const price = await stripe.prices.create({ currency: 'usd', unit_amount: 1500, recurring: { interval: 'month' }, product_data: { name: 'Plan' } });
  const subscription = await stripe.subscriptions.create(
    { customer: customer.id, items: [{ price: price.id }], expand: ['latest_invoice.payments'] },
    { idempotencyKey: 'node-1' },
  );
  const again = await stripe.subscriptions.create(
    { customer: customer.id, items: [{ price: price.id }], expand: ['latest_invoice.payments'] },
    { idempotencyKey: 'node-1' },
  );
  const intent = await stripe.paymentIntents.create({ amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true, automatic_payment_methods: { enabled: true, allow_redirects: 'never' } });
  const refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 500 });
  const declined = await refusalOf(stripe.paymentIntents.create({ amount: 2000, currency: 'usd', payment_method: 'pm_card_visa_chargeDeclined', confirm: true }));
  const missing = await refusalOf(stripe.customers.retrieve('cus_none'));
  const unknown = await refusalOf(stripe.customers.create({ nonsense: 'yes' }));
  const emails = [];
  for (let index = 0; index < 12; index += 1) {
    await stripe.customers.create({ email: `many-${index}@example.com` });
  }
  for await (const one of stripe.customers.list({ limit: 5 })) {
    emails.push(one.email);
  }
  const payload = JSON.stringify({ id: 'evt_1', object: 'event' });
  const header = stripe.webhooks.generateTestHeaderString({ payload, secret: 'whsec_node' });
  const event = stripe.webhooks.constructEvent(payload, header, 'whsec_node');
  const ended = await stripe.subscriptions.cancel(subscription.id);
  console.log(JSON.stringify({
    status: subscription.status,
    invoice: subscription.latest_invoice.status,
    payments: subscription.latest_invoice.payments.data.length,
    replayed: again.id === subscription.id,
    intent: intent.status,
    refund: [refund.status, refund.amount],
    declined, missing, unknown, emails,
    event: event.id,
    ended: ended.status,
  }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
