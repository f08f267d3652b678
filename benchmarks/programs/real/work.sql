CREATE TABLE item (id INTEGER PRIMARY KEY, owner INTEGER, price INTEGER, label TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
    INSERT INTO item SELECT i, i * 7919 % 997, i * 104729 % 10007, 'label ' || (i * 31 % 5003) FROM n;
CREATE INDEX by_owner ON item (owner, price);
SELECT count(*), sum(price) FROM item WHERE owner BETWEEN 100 AND 300;
SELECT owner, count(*), avg(price) FROM item GROUP BY owner ORDER BY avg(price) DESC LIMIT 5;
SELECT label, max(price) FROM item WHERE label LIKE '%99%' GROUP BY label ORDER BY 2 DESC, 1 LIMIT 5;
UPDATE item SET price = price + 1 WHERE id % 3 = 0;
SELECT a.owner, count(*) FROM item a JOIN item b ON a.owner = b.owner AND a.price = b.price + 1
    GROUP BY a.owner ORDER BY 2 DESC, 1 LIMIT 5;
DELETE FROM item WHERE owner % 2 = 0;
SELECT count(*), sum(price), min(label), max(label) FROM item;
