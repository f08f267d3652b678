using System.Linq;
using System.Threading;
using Ryokan.XenStore.Tree;
using Xunit;

namespace Ryokan.XenStore.Tests;

/// <summary>Tree, permissions, quotas and transactions through typed calls.</summary>
public sealed class StoreTests
{
    private readonly Store _store = new();
    private readonly StoreConnection _root;
    private readonly StoreConnection _guest;

    public StoreTests()
    {
        _root = _store.Connect(0);
        _guest = _store.Connect(5);
        _root.Put("/local/domain/5", "");
        _root.Allow("/local/domain/5", "n0,r5");
        _root.Put("/local/domain/5/data", "");
        _root.Allow("/local/domain/5/data", "n5");
    }

    [Theory]
    [InlineData("/", true)]
    [InlineData("/a", true)]
    [InlineData("/a/b-c_d@e:f/0", true)]
    [InlineData("", false)]
    [InlineData("a", false)]
    [InlineData("//", false)]
    [InlineData("/a/", false)]
    [InlineData("/a//b", false)]
    [InlineData("/a b", false)]
    [InlineData("/a\0b", false)]
    [InlineData("/ä", false)]
    [InlineData("@introduceDomain", false)]
    public void Names_are_checked(string path, bool valid) => Assert.Equal(valid, StorePath.IsNode(path));

    [Fact]
    public void Long_names_are_refused()
    {
        Assert.True(StorePath.IsNode("/" + new string('a', 3071)));
        Assert.False(StorePath.IsNode("/" + new string('a', 3072)));
        Assert.True(StorePath.IsNode("/local/domain/5/" + new string('a', 2048)));
        Assert.False(StorePath.IsNode("/local/domain/5/" + new string('a', 2049)));
    }

    [Fact]
    public void Writing_makes_missing_parents()
    {
        Assert.Equal(StoreError.None, _root.Put("/a/b/c", "v"));
        Assert.Equal("v", _root.Get("/a/b/c"));
        Assert.Equal("", _root.Get("/a/b"));
        Assert.Equal("b", _root.List("/a"));
        Assert.Equal("[ENOENT]", _root.Get("/a/x"));
        Assert.Equal(StoreError.EINVAL, _root.Put("/a/", "v"));
    }

    [Fact]
    public void Values_are_bytes_of_any_kind()
    {
        byte[] all = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        Assert.Equal(StoreError.None, _root.Write(0, "/bytes", all));
        Assert.Equal(StoreError.None, _root.Read(0, "/bytes", out var read));
        Assert.Equal(all, read.ToArray());
    }

    [Fact]
    public void Mkdir_leaves_what_exists_alone()
    {
        _root.Put("/a/b", "v");
        Assert.Equal(StoreError.None, _root.Mkdir(0, "/a/b"));
        Assert.Equal("v", _root.Get("/a/b"));
    }

    [Fact]
    public void Removing_takes_all_below_and_forgives_what_is_not_there()
    {
        _root.Put("/a/b/c", "v");
        Assert.Equal(StoreError.None, _root.Remove(0, "/a/b"));
        Assert.Equal("[ENOENT]", _root.Get("/a/b/c"));
        Assert.Equal("", _root.List("/a"));
        Assert.Equal(StoreError.None, _root.Remove(0, "/a/b"));
        Assert.Equal(StoreError.ENOENT, _root.Remove(0, "/x/y"));
        Assert.Equal(StoreError.EINVAL, _root.Remove(0, "/"));
    }

    [Fact]
    public void Relative_paths_start_at_the_domains_home()
    {
        Assert.Equal(StoreError.None, _guest.Put("data/x", "1"));
        Assert.Equal("1", _root.Get("/local/domain/5/data/x"));
    }

    [Fact]
    public void A_guest_may_write_only_where_it_was_allowed()
    {
        Assert.Equal(StoreError.EACCES, _guest.Put("/tool", "1"));
        Assert.Equal(StoreError.EACCES, _guest.Put("name", "1"));
        Assert.Equal(StoreError.EACCES, _guest.Put("/local/domain/6/data/x", "1"));
        Assert.Equal(StoreError.EACCES, _guest.Remove(0, "/local/domain/5"));
        Assert.Equal(StoreError.None, _guest.Put("data/a/b", "1"));
        _guest.GetPermissions(0, "data/a", out var permissions);
        Assert.Equal("n5", string.Join(',', permissions));
    }

    [Fact]
    public void A_guest_learns_nothing_of_what_it_may_not_read()
    {
        _root.Mkdir(0, "/secret");
        _root.Allow("/secret", "n0");
        _root.Put("/secret/here", "1");
        Assert.Equal("[EACCES]", _guest.Get("/secret/here"));
        Assert.Equal("[EACCES]", _guest.Get("/secret/not-here"));
        Assert.Equal("[ENOENT]", _guest.Get("not-here"));
    }

    [Fact]
    public void A_node_made_by_a_guest_in_a_shared_place_is_the_guests()
    {
        _root.Put("/shared", "");
        _root.Allow("/shared", "b0");
        Assert.Equal(StoreError.None, _guest.Put("/shared/mine", "1"));
        _root.GetPermissions(0, "/shared/mine", out var permissions);
        Assert.Equal("b5", string.Join(',', permissions));
    }

    [Fact]
    public void Only_the_owner_sets_permissions_and_cannot_give_the_node_away()
    {
        _guest.Put("data/x", "1");
        Assert.Equal(StoreError.None, _guest.Allow("data/x", "r5,w7"));
        Assert.Equal(StoreError.EPERM, _guest.Allow("data/x", "n7"));
        Assert.Equal(StoreError.EACCES, _guest.Allow("/local/domain/5", "b5"));
        StoreConnection other = _store.Connect(7);
        Assert.Equal(StoreError.None, other.Put("/local/domain/5/data/x", "2"));
        Assert.Equal("[EACCES]", other.Get("/local/domain/5/data/x"));
        Assert.Equal(StoreError.EACCES, other.Allow("/local/domain/5/data/x", "r7"));
        Assert.Equal(StoreError.None, _root.Allow("/local/domain/5/data/x", "n7"));
        Assert.Equal("2", other.Get("/local/domain/5/data/x"));
    }

    [Fact]
    public void Quotas_hold_for_guests_and_not_for_domain_0()
    {
        StoreConnection small = _store.Connect(
            5, quota: new StoreQuota { Nodes = 5, ValueBytes = 10, Permissions = 2 });
        int made = 0;
        while (made < 100 && small.Put($"data/n{made}", "1") == StoreError.None)
        {
            made++;
        }
        Assert.Equal(4, made);
        Assert.Equal(StoreError.ENOSPC, small.Put("data/deep/er", "1"));
        Assert.Equal(StoreError.None, small.Put("data/n0", "2"));
        small.Remove(0, "data/n1");
        Assert.Equal(StoreError.None, small.Put("data/n9", "2"));
        Assert.Equal(StoreError.ENOSPC, small.Put("data/n0", "12345678901"));
        Assert.Equal(StoreError.ENOSPC, small.Allow("data/n0", "n5,r1,r2"));
        Assert.Equal(StoreError.None, _root.Put("/local/domain/5/data/root", new string('x', 4000)));
    }

    [Fact]
    public void A_transaction_is_seen_whole_or_not_at_all()
    {
        uint t = _guest.Begin();
        Assert.Equal(StoreError.None, _guest.Put("data/x", "1", t));
        Assert.Equal("1", _guest.Get("data/x", t));
        Assert.Equal("[ENOENT]", _guest.Get("data/x"));
        Assert.Equal(StoreError.None, _guest.EndTransaction(t, commit: true));
        Assert.Equal("1", _guest.Get("data/x"));
        t = _guest.Begin();
        _guest.Remove(t, "data/x");
        Assert.Equal(StoreError.None, _guest.EndTransaction(t, commit: false));
        Assert.Equal("1", _guest.Get("data/x"));
        Assert.Equal(StoreError.ENOENT, _guest.EndTransaction(t, commit: true));
        Assert.Equal("[ENOENT]", _guest.Get("data/x", t));
        Assert.Equal("[ENOENT]", _root.Get("/", _guest.Begin()));
    }

    [Theory]
    [InlineData("read", "/a/x", "/a/x", true)]
    [InlineData("read", "/a/x", "/a/y", false)]
    [InlineData("read", "/a", "/a/x", false)]
    [InlineData("read", "/a/new", "/a/new", true)]
    [InlineData("list", "/a", "/a/new", true)]
    [InlineData("list", "/a", "/a/x", false)]
    [InlineData("list", "/a", "/a/x/below", false)]
    [InlineData("write", "/a/x", "/a/x", true)]
    [InlineData("write", "/a/new", "/a/other", false)]
    [InlineData("write", "/a/new", "/a/new", true)]
    [InlineData("remove", "/a/x", "/a/y", false)]
    public void Transactions_conflict_when_what_they_used_changed(
        string act, string path, string changed, bool conflict)
    {
        _root.Put("/a/x", "1");
        _root.Put("/a/y", "1");
        uint t = _root.Begin();
        _ = act switch
        {
            "read" => _root.Get(path, t).Length,
            "list" => _root.List(path, t).Length,
            "write" => (int)_root.Put(path, "2", t),
            _ => (int)_root.Remove(t, path),
        };
        _root.Put("/done", "1", t);
        Assert.Equal(StoreError.None, _root.Put(changed, "3"));
        Assert.Equal(conflict ? StoreError.EAGAIN : StoreError.None, _root.EndTransaction(t, commit: true));
        Assert.Equal(conflict ? "[ENOENT]" : "1", _root.Get("/done"));
        Assert.Equal("3", _root.Get(changed));
    }

    [Fact]
    public void A_transaction_whose_directory_went_away_conflicts()
    {
        _root.Put("/a/b", "1");
        uint t = _root.Begin();
        _root.Put("/a/b/c", "1", t);
        _root.Remove(0, "/a");
        Assert.Equal(StoreError.EAGAIN, _root.EndTransaction(t, commit: true));
        Assert.Equal("[ENOENT]", _root.Get("/a"));
    }

    [Fact]
    public void Concurrent_counters_lose_nothing()
    {
        const int each = 300;
        _root.Put("/counter", "0");
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            StoreConnection c = _store.Connect(0);
            for (int i = 0; i < each; i++)
            {
                uint t;
                do
                {
                    t = c.Begin();
                    int value = int.Parse(c.Get("/counter", t));
                    c.Put("/counter", (value + 1).ToString(), t);
                }
                while (c.EndTransaction(t, commit: true) == StoreError.EAGAIN);
            }
        }))];
        foreach (Thread thread in threads)
        {
            thread.Start();
        }
        foreach (Thread thread in threads)
        {
            thread.Join();
        }
        Assert.Equal((4 * each).ToString(), _root.Get("/counter"));
    }

    [Fact]
    public void A_guests_transactions_are_limited()
    {
        StoreConnection small = _store.Connect(
            5, quota: new StoreQuota { Transactions = 2, TransactionNodes = 20, Nodes = 12 });
        uint t = small.Begin();
        Assert.Equal(StoreError.None, small.StartTransaction(out _));
        Assert.Equal(StoreError.ENOSPC, small.StartTransaction(out uint none));
        Assert.Equal(0u, none);
        StoreError last = StoreError.None;
        int reads = 0;
        while (last != StoreError.ENOSPC && reads < 1000)
        {
            last = small.Read(t, $"data/none{reads++}", out _);
        }
        Assert.Equal(StoreError.ENOSPC, last);
        Assert.Equal(StoreError.ENOSPC, small.Put("data/x", "1", t));
    }

    [Fact]
    public void Two_transactions_together_do_not_pass_the_quota()
    {
        StoreConnection small = _store.Connect(5, quota: new StoreQuota { Nodes = 4 });
        uint a = small.Begin();
        uint b = small.Begin();
        foreach (uint t in (uint[])[a, b])
        {
            Assert.Equal(StoreError.None, small.Put($"data/{t}-1", "", t));
            Assert.Equal(StoreError.None, small.Put($"data/{t}-2", "", t));
        }
        Assert.Equal(StoreError.None, small.EndTransaction(a, commit: true));
        Assert.Equal(StoreError.ENOSPC, small.EndTransaction(b, commit: true));
    }

    [Fact]
    public void Node_counts_stay_right_through_everything()
    {
        System.Random random = new(3);
        for (int i = 0; i < 3000; i++)
        {
            string path = "data/" + string.Join(
                '/', Enumerable.Range(0, random.Next(1, 4)).Select(_ => random.Next(4)));
            switch (random.Next(4))
            {
                case 0: _guest.Put(path, "v"); break;
                case 1: _guest.Remove(0, path); break;
                case 2: _root.Allow("/local/domain/5/" + path, $"n{random.Next(5, 8)}"); break;
                default:
                    uint t = _guest.Begin();
                    _guest.Put(path, "t", t);
                    _root.Put("/local/domain/5/" + path + "/9", "r");
                    _guest.EndTransaction(t, commit: true);
                    break;
            }
        }
        foreach (int domain in (int[])[0, 5, 6, 7])
        {
            Assert.Equal(Count(_store.Connect(0), "/", domain), _store.CountNodes(domain));
        }
    }

    private static int Count(StoreConnection c, string path, int domain)
    {
        c.GetPermissions(0, path, out var permissions);
        int count = permissions[0].Domain == domain ? 1 : 0;
        c.Directory(0, path, out var names, out _);
        return count + names.Sum(n => Count(c, path == "/" ? "/" + n : path + "/" + n, domain));
    }
}
