"""A bit of everything that Python programs spend their time on, with a fixed result."""


def primes(limit):
    found = []
    for candidate in range(2, limit):
        if all(candidate % prime for prime in found if prime * prime <= candidate):
            found.append(candidate)
    return found


class Counter:
    def __init__(self):
        self.total = 0

    def add(self, value):
        self.total += value
        return self.total


counter = Counter()
words = {}
for i in range(400000):
    counter.add(i ^ (i >> 3))
    if i % 4 == 0:
        word = "w%d" % (i % 5000)
        words[word] = words.get(word, 0) + len(word)
text = ",".join(sorted(words))
print(counter.total, len(text), sum(words.values()), sum(primes(1800)), hash((1, 2, 3)) != 0)
print(sum(x * x for x in range(200000)) % 1000003)
