/* crypto: fixed amounts of work in the system's libcrypto, one ROW for each algorithm. */
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>
#include <stdlib.h>

#include "../row.h"

enum { CHUNK = 16384, SHA_CHUNKS = 6000, GCM_CHUNKS = 15000, SIGNATURES = 200 };

static void require(int good, const char *what)
{
    if (!good) {
        printf("FAIL crypto: %s\n", what);
        exit(1);
    }
}

static uint64_t fold(const unsigned char *bytes, size_t length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++)
        value = value * 31 + bytes[i];
    return value;
}

static uint64_t sha256(const unsigned char *data)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    require(EVP_DigestInit_ex(context, EVP_sha256(), NULL), "sha256");
    for (int i = 0; i < SHA_CHUNKS; i++)
        require(EVP_DigestUpdate(context, data, CHUNK), "sha256");
    require(EVP_DigestFinal_ex(context, digest, NULL), "sha256");
    EVP_MD_CTX_free(context);
    return fold(digest, 32);
}

static uint64_t aes_gcm(const unsigned char *data)
{
    static unsigned char output[CHUNK + 16];
    unsigned char key[16] = "sixteen letters", nonce[12] = "eleven more", tag[16];
    int length;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    require(EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), NULL, key, nonce), "aes-gcm");
    for (int i = 0; i < GCM_CHUNKS; i++)
        require(EVP_EncryptUpdate(context, output, &length, data, CHUNK), "aes-gcm");
    require(EVP_EncryptFinal_ex(context, output, &length), "aes-gcm");
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag), "aes-gcm");
    EVP_CIPHER_CTX_free(context);
    return fold(tag, sizeof tag);
}

/* PKCS #1 signatures; making the key is not measured and differs from run to run, so the check is the count of
 * signatures that verify. */
static EVP_PKEY *rsa_key;

static uint64_t rsa_sign(const unsigned char *data)
{
    unsigned char signature[512];
    uint64_t good = 0;
    for (int i = 0; i < SIGNATURES; i++) {
        size_t length = sizeof signature;
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(rsa_key, NULL);
        require(EVP_PKEY_sign_init(context) > 0, "rsa");
        require(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0, "rsa");
        require(EVP_PKEY_sign(context, signature, &length, data + i, 32) > 0, "rsa");
        require(EVP_PKEY_verify_init(context) > 0, "rsa");
        require(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0, "rsa");
        good += EVP_PKEY_verify(context, signature, length, data + i, 32) == 1;
        EVP_PKEY_CTX_free(context);
    }
    return good;
}

static void measure(const char *name, uint64_t (*run)(const unsigned char *), const unsigned char *data)
{
    double wall = wall_seconds(), cpu = cpu_seconds();
    uint64_t check = run(data);
    print_row(name, wall_seconds() - wall, cpu_seconds() - cpu, check);
}

int main(void)
{
    static unsigned char data[CHUNK];
    for (int i = 0; i < CHUNK; i++)
        data[i] = (unsigned char)(i * 7 + i / 256);
    measure("openssl-sha256", sha256, data);
    measure("openssl-aes-gcm", aes_gcm, data);
    rsa_key = EVP_RSA_gen(2048);
    require(rsa_key != NULL, "rsa key");
    measure("openssl-rsa2048", rsa_sign, data);
    EVP_PKEY_free(rsa_key);
    return 0;
}
