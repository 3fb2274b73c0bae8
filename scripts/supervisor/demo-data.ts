import { type Db, Decimal128, type Document, Int32, ObjectId } from 'mongodb';

/** The same numbers on every machine, so that two demos can be compared document by document. */
class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  /** mulberry32 */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  pick<T>(all: readonly T[]): T {
    return all[this.below(all.length)] as T;
  }

  id(): ObjectId {
    return new ObjectId(Array.from({ length: 24 }, () => this.below(16).toString(16)).join(''));
  }
}

const firstNames = ['Anna', 'Björn', 'Chloé', 'Deniz', 'Elif', 'Francesca', 'Grzegorz', 'Hana', 'Ivo', 'José', 'Katarína', 'Łucja', 'Märta', 'Nnamdi', 'Ólafur', 'Priya', 'Quentin', 'Renée', 'Søren', '美咲'];
const lastNames = ['Almeida', 'Brandt', 'Çelik', 'Dvořák', 'Eriksson', 'Fischer', 'García', 'Hoffmann', 'Ivanova', 'Jansen', 'Kowalski', 'Lindqvist', 'Müller', 'Nakamura', "O'Neill", 'Petrović', 'Rossi', 'Šimek', 'Tanaka', 'Virtanen'];
const cities = [['Berlin', 'DE'], ['Hamburg', 'DE'], ['Wien', 'AT'], ['Zürich', 'CH'], ['Kraków', 'PL'], ['Praha', 'CZ'], ['København', 'DK'], ['Amsterdam', 'NL'], ['Lyon', 'FR'], ['Málaga', 'ES'], ['Torino', 'IT'], ['Tampere', 'FI']] as const;
const goods = ['Desk lamp', 'Office chair', 'Standing desk', 'Monitor arm', 'Keyboard', 'Headset', 'Whiteboard', 'Filing cabinet', 'Paper, 500 sheets', 'Toner', 'Label printer', 'Cable tray'];
const variants = ['oak', 'black', 'white', 'grey', 'compact', 'large', 'set of 4', 'refurbished'];

const firstDay = Date.UTC(2024, 0, 2, 8);
const dayMs = 86_400_000;
const rows = { products: 96, customers: 600, orders: 3000, activity: 800, sessions: 40 };

const money = (cents: number) => Decimal128.fromString((cents / 100).toFixed(2));

interface Customer extends Document {
  readonly _id: ObjectId;
  readonly email: string;
  readonly address: Document;
}

interface Product extends Document {
  readonly _id: string;
  readonly name: string;
  readonly cents: number;
}

/** A small trading company: what it sells, to whom, what was ordered and what was invoiced. Deterministic. */
export async function seedAcmeTrading(db: Db): Promise<void> {
  const dice = new Dice(20_240_102);
  await createCollections(db);

  const products = Array.from({ length: rows.products }, (_, index): Product => {
    const name = `${goods[index % goods.length]}, ${variants[Math.floor(index / goods.length)]}`;
    return { _id: `P-${String(index + 1).padStart(4, '0')}`, name, cents: dice.between(490, 89_900) };
  });
  await db.collection<Document & { _id: string }>('products').insertMany(
    products.map(({ _id, name, cents }) => ({ _id, name, price: money(cents), stock: new Int32(dice.between(0, 400)), tags: [dice.pick(variants), dice.pick(['office', 'home', 'clearance'])] })),
  );

  const customers = Array.from({ length: rows.customers }, (_, index) => customer(dice, index));
  await db.collection('customers').insertMany(customers);

  const orders: Document[] = [];
  const invoices: Document[] = [];
  for (let index = 0; index < rows.orders; index++) {
    const { order, totalCents } = makeOrder(dice, index, dice.pick(customers), products);
    orders.push(order);
    if (order['status'] !== 'cancelled') invoices.push(invoice(dice, invoices.length, order, totalCents));
  }
  await db.collection('orders').insertMany(orders);
  await db.collection('invoices').insertMany(invoices);

  await db.collection('activity_log').insertMany(
    Array.from({ length: rows.activity }, (_, index) => ({ at: new Date(firstDay + index * 3_600_000), who: dice.pick(customers).email, what: dice.pick(['signed in', 'viewed an order', 'downloaded an invoice', 'changed the address']) })),
  );
  await db.collection('sessions').insertMany(
    // Far enough ahead that the server does not remove them while somebody looks at the demo.
    Array.from({ length: rows.sessions }, () => ({ _id: dice.id(), customer: dice.pick(customers)._id, expiresAt: new Date(Date.UTC(2099, 0, 1) + dice.below(365) * dayMs) })),
  );
  await createIndexes(db);
}

async function createCollections(db: Db): Promise<void> {
  await db.createCollection('customers', {
    validator: { $jsonSchema: { bsonType: 'object', required: ['number', 'name', 'email'], properties: { number: { bsonType: 'string', pattern: '^C-[0-9]{5}$' }, email: { bsonType: 'string', pattern: '@' } } } },
    validationLevel: 'moderate',
  });
  await db.createCollection('products', { collation: { locale: 'de', strength: 2 } });
  await db.createCollection('activity_log', { capped: true, size: 1_048_576, max: 5000 });
  await db.createCollection('open_invoices', {
    viewOn: 'invoices',
    pipeline: [{ $match: { paid: false } }, { $project: { number: 1, customer: 1, total: 1, dueAt: 1 } }, { $sort: { dueAt: 1 } }],
  });
}

async function createIndexes(db: Db): Promise<void> {
  await db.collection('customers').createIndexes([
    { key: { number: 1 }, name: 'number', unique: true },
    { key: { email: 1 }, name: 'email', unique: true, collation: { locale: 'en', strength: 2 } },
    { key: { 'address.location': '2dsphere' }, name: 'location' },
  ]);
  await db.collection('products').createIndexes([{ key: { name: 'text', tags: 'text' }, name: 'search', default_language: 'none', collation: { locale: 'simple' } }]);
  await db.collection('orders').createIndexes([
    { key: { number: 1 }, name: 'number', unique: true },
    { key: { customer: 1, placedAt: -1 }, name: 'by_customer' },
    { key: { status: 1 }, name: 'open_orders', partialFilterExpression: { status: { $in: ['new', 'packed'] } } },
    { key: { 'items.product': 1 }, name: 'by_product' },
  ]);
  await db.collection('invoices').createIndexes([
    { key: { number: 1 }, name: 'number', unique: true },
    { key: { dueAt: 1 }, name: 'unpaid_by_due_date', partialFilterExpression: { paid: false } },
    { key: { customer: 'hashed' }, name: 'by_customer' },
  ]);
  await db.collection('sessions').createIndexes([{ key: { expiresAt: 1 }, name: 'expiry', expireAfterSeconds: 0 }]);
}

function customer(dice: Dice, index: number): Customer {
  const [first, last] = [dice.pick(firstNames), dice.pick(lastNames)];
  const [city, country] = dice.pick(cities);
  const number = `C-${String(index + 1).padStart(5, '0')}`;
  return {
    _id: dice.id(),
    number,
    name: `${first} ${last}`,
    email: `${number.toLowerCase()}@customers.example`,
    company: dice.next() < 0.4 ? `${last} & ${dice.pick(['Söhne', 'Partners', 'Cie', 'Trading'])}` : null,
    address: { street: `${dice.pick(['Hauptstraße', 'Market Street', 'Rue de la Gare', 'Długa'])} ${dice.between(1, 180)}`, city, country, location: { type: 'Point', coordinates: [5 + dice.next() * 15, 42 + dice.next() * 15] } },
    creditLimit: money(dice.between(1, 100) * 10_000),
    since: new Date(firstDay - dice.between(1, 2000) * dayMs),
  };
}

function makeOrder(dice: Dice, index: number, buyer: Customer, products: readonly Product[]): { order: Document; totalCents: number } {
  let totalCents = 0;
  const items = Array.from({ length: dice.between(1, 6) }, () => {
    const product = dice.pick(products);
    const quantity = dice.between(1, 12);
    totalCents += product.cents * quantity;
    return { product: product._id, name: product.name, quantity: new Int32(quantity), price: money(product.cents) };
  });
  const order = {
    _id: dice.id(),
    number: `O-${String(index + 1).padStart(6, '0')}`,
    customer: buyer._id,
    placedAt: new Date(firstDay + Math.floor((index / rows.orders) * 640 * dayMs) + dice.below(8 * 3_600_000)),
    status: index > rows.orders - 120 ? dice.pick(['new', 'packed']) : dice.next() < 0.05 ? 'cancelled' : 'delivered',
    items,
    total: money(totalCents),
    shipTo: buyer.address,
  };
  return { order, totalCents };
}

function invoice(dice: Dice, index: number, order: Document, totalCents: number): Document {
  const issuedAt = new Date((order['placedAt'] as Date).getTime() + dayMs);
  return {
    _id: dice.id(),
    number: `I-${issuedAt.getUTCFullYear()}-${String(index + 1).padStart(6, '0')}`,
    order: order['_id'] as ObjectId,
    customer: order['customer'] as ObjectId,
    issuedAt,
    dueAt: new Date(issuedAt.getTime() + 14 * dayMs),
    total: money(totalCents),
    vat: money(Math.round(totalCents * 0.19)),
    paid: order['status'] === 'delivered' && dice.next() < 0.93,
  };
}
