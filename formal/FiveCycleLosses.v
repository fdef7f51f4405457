(* What FiveCycle.v computes in whole numbers is L_ND at D^*: in any order, with any signs and any
   encoder it is at least 24135321/512. *)
From Coq Require Import Reals Lra Lia List ZArith Bool.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances TwoActive FiveCycle.
Import ListNotations.
Open Scope R_scope.

Definition e0 : sample := (0, 1, 1)%nat.
Definition at_sample (n : nat) : sample := nth n samples e0.
Definition Ds : mat := fun i k => IZR (atom k i) / 2.
Definition Ys : mat := fun k n => IZR (code (at_sample n) k) / 16.
Definition X : mat := product 5 Ds Ys.
Definition fifth : vec := fun _ => /5.

Lemma IZR_sumZ n f : IZR (sumZ n f) = sum n (fun i => IZR (f i)).
Proof. induction n as [|n IH]; simpl; [reflexivity|]. now rewrite plus_IZR, IH. Qed.

Lemma X_is n i : X i n = IZR (coordinate (at_sample n) i) / 32.
Proof.
  unfold X, product, coordinate. rewrite IZR_sumZ. unfold Rdiv. rewrite <- sum_scal_r.
  apply sum_ext; intros k _. unfold Ds, Ys. rewrite mult_IZR. field.
Qed.

Lemma correlation_is n k : dot 4 (col Ds k) (col X n) = IZR (correlation (at_sample n) k) / 64.
Proof.
  unfold dot, correlation. rewrite IZR_sumZ. unfold Rdiv. rewrite <- sum_scal_r.
  apply sum_ext; intros i _. unfold col. rewrite X_is, mult_IZR. unfold Ds. field.
Qed.

Lemma gram_is k l : dot 4 (col Ds k) (col Ds l) = IZR (gram k l) / 4.
Proof.
  unfold dot, gram. rewrite IZR_sumZ. unfold Rdiv. rewrite <- sum_scal_r.
  apply sum_ext; intros i _. unfold col, Ds. rewrite mult_IZR. field.
Qed.

Lemma squares_are n : norm2 4 (col X n) = IZR (squares (at_sample n)) / 1024.
Proof.
  unfold norm2, dot, squares. rewrite IZR_sumZ. unfold Rdiv. rewrite <- sum_scal_r.
  apply sum_ext; intros i _. unfold col. rewrite X_is, mult_IZR. field.
Qed.

Lemma weights a : (a < 5)%nat -> survival 5 fifth a = IZR (W a) / 5.
Proof. intros Ha. each a; numbers; lra. Qed.

Lemma fifth_full_support : full_support 5 fifth.
Proof. split; [intros; unfold fifth; lra|]. unfold fifth; simpl; lra. Qed.

(* The whole numbers of FiveCycle.v are 20480 M times what two slots save. *)
Lemma saved_is a b A B k l : (a < b < 5)%nat -> (k < 5)%nat -> (l < 5)%nat -> k <> l ->
  0 < IZR (denominator a b (gram k l)) /\
  IZR (saved a b A B (gram k l)) = 20480 * IZR M *
    saved_by_two (IZR (W a) / 5) (IZR (W b) / 5) (IZR A / 64) (IZR B / 64) (IZR (gram k l) / 4).
Proof.
  intros Hab Hk Hl N.
  assert (F : (0 < denominator a b (gram k l) /\
    factor a b (gram k l) * denominator a b (gram k l) = M)%Z).
  { each a; each b; each k; each l; try lia; split; vm_compute; reflexivity. }
  destruct F as [P F]. apply IZR_lt in P. apply (f_equal IZR) in F.
  split; [exact P|]. revert P F. unfold saved, denominator, saved_by_two.
  rewrite !mult_IZR, !plus_IZR, !minus_IZR, !mult_IZR.
  generalize (IZR (factor a b (gram k l))) (IZR (W a)) (IZR (W b)) (IZR A) (IZR B) (IZR (gram k l))
    (IZR M). intros f u v x y g m P F. rewrite <- F. field. lra.
Qed.

Lemma saved_le_best a b A order : (a < b < 5)%nat ->
  (saved a b (nth (nth a order O) A 0) (nth (nth b order O) A 0)
     (gram (nth a order O) (nth b order O)) <= best A order)%Z.
Proof.
  intros H. unfold best. assert (I : In (a, b) pairs) by (each a; each b; try lia; vm_compute;
    auto 20).
  induction pairs as [|[c e] r IH]; [destruct I|]. simpl. destruct I as [E|I].
  - injection E as -> ->. apply Z.le_max_r.
  - eapply Z.le_trans; [now apply IH|]. apply Z.le_max_l.
Qed.

Lemma best_nonneg A order : (0 <= best A order)%Z.
Proof.
  unfold best. induction pairs as [|[c e] r IH]; simpl; [lia|].
  eapply Z.le_trans; [exact IH|apply Z.le_max_l].
Qed.

Lemma signs_cancel wa wb A B g s t : (s = 1 \/ s = -1) -> (t = 1 \/ t = -1) ->
  saved_by_two wa wb (s * A) (t * B) (s * t * g) = saved_by_two wa wb A B g.
Proof.
  intros [->| ->] [->| ->]; unfold saved_by_two, Rdiv; (f_equal; [ring|f_equal; ring]).
Qed.

Lemma parallel_sign d x y : parallel d x y ->
  exists s, (s = 1 \/ s = -1) /\ forall i, (i < d)%nat -> x i = s * y i.
Proof.
  intros [H|H]; [exists 1|exists (-1)]; (split; [auto|]); intros i Hi; rewrite H; auto; ring.
Qed.

Lemma dot_signs d x x' y y' s t : (forall i, (i < d)%nat -> x i = s * x' i) ->
  (forall i, (i < d)%nat -> y i = t * y' i) -> dot d x y = s * t * dot d x' y'.
Proof.
  intros H H'. unfold dot. rewrite <- sum_scal. apply sum_ext; intros i Hi.
  rewrite H, H' by auto. ring.
Qed.

Lemma M_positive : 0 < IZR M.
Proof. apply IZR_lt. reflexivity. Qed.

(* What a sample loses at least, at D^* in some order. *)
Lemma sample_at_truth D Y n (order : list nat) :
  unit_norm 4 5 D -> sparse 5 2 (col Y n) -> length order = 5%nat ->
  (forall j, (j < 5)%nat -> (nth j order O < 5)%nat) ->
  (forall j k, (j < 5)%nat -> (k < 5)%nat -> nth j order O = nth k order O -> j = k) ->
  (forall j, (j < 5)%nat -> parallel 4 (col D j) (col Ds (nth j order O))) ->
  IZR (fst (row (at_sample n)) - best (snd (row (at_sample n))) order)
  <= 20480 * IZR M * sample_loss 4 5 fifth D (col X n) (col Y n).
Proof.
  intros U S Len R I P.
  destruct (two_slots 5 (col Y n) ltac:(lia) S) as [a [b [Hab Z]]].
  set (k := nth a order O) in *. set (l := nth b order O) in *.
  assert (N : k <> l) by (intros E; apply I in E; lia).
  destruct (saved_is a b (correlation (at_sample n) k) (correlation (at_sample n) l) k l Hab
    (R a ltac:(lia)) (R b ltac:(lia)) N) as [Den Sv].
  pose proof (two_active_bound 4 5 fifth D (col X n) (col Y n) a b (proj2 fifth_full_support)
    U Hab Z)
    as B. cbv zeta in B.
  rewrite !weights in B by lia.
  destruct (parallel_sign 4 _ _ (P a ltac:(lia))) as [s [Hs Es]].
  destruct (parallel_sign 4 _ _ (P b ltac:(lia))) as [t [Ht Et]].
  assert (Ea : dot 4 (col D a) (col X n) = s * dot 4 (col Ds k) (col X n)).
  { rewrite (dot_signs 4 _ (col Ds k) _ (col X n) s 1); auto; [ring|intros; ring]. }
  assert (Eb : dot 4 (col D b) (col X n) = t * dot 4 (col Ds l) (col X n)).
  { rewrite (dot_signs 4 _ (col Ds l) _ (col X n) t 1); auto; [ring|intros; ring]. }
  rewrite Ea, Eb, (dot_signs 4 _ (col Ds k) _ (col Ds l) s t Es Et) in B.
  rewrite signs_cancel, squares_are, !correlation_is, gram_is in B by auto.
  assert (ss : s * s = 1) by (destruct Hs; subst; lra).
  assert (tt : t * t = 1) by (destruct Ht; subst; lra).
  assert (Wb : 0 < IZR (W b)) by (apply IZR_lt; unfold W; lia).
  specialize (B ltac:(lra)).
  assert (Pos : 0 < IZR (W a) / 5 - IZR (W b) / 5
    * (s * t * (IZR (gram k l) / 4) * (s * t * (IZR (gram k l) / 4)))).
  { replace (s * t * (IZR (gram k l) / 4) * (s * t * (IZR (gram k l) / 4)))
      with ((s * s) * (t * t) * (IZR (gram k l) * IZR (gram k l) / 16)) by field.
    rewrite ss, tt. unfold denominator in Den. rewrite minus_IZR, !mult_IZR in Den. lra. }
  specialize (B Pos).
  pose proof (saved_le_best a b (snd (row (at_sample n))) order Hab) as Best.
  assert (Nth : forall j, (j < 5)%nat -> nth j (snd (row (at_sample n))) 0%Z
    = correlation (at_sample n) j) by (intros j Hj; each j; reflexivity).
  rewrite !Nth in Best by (apply R; lia). fold k l in Best. apply IZR_le in Best.
  rewrite Sv in Best. rewrite minus_IZR.
  replace (IZR (fst (row (at_sample n)))) with (20480 * IZR M * (IZR (squares (at_sample n))
    / 1024))
    by (change (fst (row (at_sample n))) with (20 * M * squares (at_sample n))%Z;
        rewrite (mult_IZR (20 * M)), (mult_IZR 20);
        generalize (IZR M) (IZR (squares (at_sample n))); intros; field).
  pose proof M_positive as Mp.
  apply (Rmult_le_compat_l (20480 * IZR M)) in B; [|lra]. lra.
Qed.

Lemma sum_head n f : sum (S n) f = f O + sum n (fun i => f (S i)).
Proof.
  induction n as [|n IH]; [simpl; ring|].
  change (sum (S (S n)) f) with (sum (S n) f + f (S n)). rewrite IH. simpl. ring.
Qed.

(* `exceeds` says that the losses add up to the bound. *)
Lemma exceeds_sound order rows : forall bound loss,
  exceeds order bound rows = true ->
  (forall n, (n < length rows)%nat -> 0 <= loss n /\
     IZR (fst (nth n rows (0%Z, [])) - best (snd (nth n rows (0%Z, []))) order) <= loss n) ->
  IZR bound <= sum (length rows) loss.
Proof.
  induction rows as [|[z A] rest IH]; intros bound loss E H.
  - simpl in E. destruct (Z.leb_spec bound 0) as [L|L]; [|discriminate]. simpl.
    now apply IZR_le in L.
  - simpl in E. destruct (Z.leb_spec bound 0) as [L|L].
    + apply IZR_le in L. eapply Rle_trans; [exact L|]. apply sum_nonneg; intros n Hn. now apply H.
    + apply (IH _ (fun n => loss (S n))) in E.
      * change (length ((z, A) :: rest)) with (S (length rest)). rewrite sum_head.
        pose proof (proj2 (H O ltac:(simpl; lia))) as H0. simpl in H0.
        rewrite !minus_IZR in *. lra.
      * intros n Hn. apply (H (S n)). simpl. lia.
Qed.

Lemma in_tuples k : forall (f : nat -> nat) s, (forall j, (j < s + k)%nat -> (f j < 5)%nat) ->
  In (map f (seq s k)) (tuples k).
Proof.
  induction k as [|k IH]; intros f s H; [now left|].
  change (map f (seq s (S k))) with (f s :: map f (seq (S s) k)).
  change (tuples (S k)) with (flat_map (fun t => map (fun a => a :: t) (seq 0 5)) (tuples k)).
  apply in_flat_map. exists (map f (seq (S s) k)). split.
  - apply IH. intros j Hj. apply H. lia.
  - apply in_map_iff. exists (f s). split; auto. apply in_seq. specialize (H s). lia.
Qed.

Lemma distinct_of_NoDup l : NoDup l -> distinct l = true.
Proof.
  induction l as [|a l IH]; intros N; [reflexivity|]. inversion N as [|? ? Ni Nl]; subst. simpl.
  destruct (existsb (Nat.eqb a) l) eqn:E; [|now apply IH].
  apply existsb_exists in E as [b [Ib E]]. apply Nat.eqb_eq in E. now subst.
Qed.

Lemma distinct_of_injective (f : nat -> nat) :
  (forall j k, (j < 5)%nat -> (k < 5)%nat -> f j = f k -> j = k) ->
    distinct (map f (seq 0 5)) = true.
Proof.
  intros I. apply distinct_of_NoDup, NoDup_map_injective; [|apply seq_NoDup].
  intros j k Hj Hk. apply in_seq in Hj. apply in_seq in Hk. apply I; lia.
Qed.

Lemma sample_loss_nonneg D x y : 0 <= sample_loss 4 5 fifth D x y.
Proof.
  apply sum_nonneg; intros k _. apply Rmult_le_pos; [unfold fifth; lra|apply norm2_nonneg].
Qed.

Theorem five_cycle_at_truth D Y : unit_norm 4 5 D -> sparse_columns 5 76 2 Y ->
  signed_permutation 4 5 Ds D -> 24135321/512 <= nested_code_loss 4 5 76 fifth X D Y.
Proof.
  intros U S [f [R [I P]]]. rewrite nested_code_loss_by_samples.
  set (order := map f (seq 0 5)).
  assert (Nth : forall j, (j < 5)%nat -> nth j order O = f j)
    by (intros j Hj; each j; reflexivity).
  assert (Ex : exceeds order at_truth all_rows = true).
  { pose proof every_order_exceeds as A. rewrite forallb_forall in A.
    specialize (A order (in_tuples 5 f 0 (fun j Hj => R j Hj))).
    unfold order in A at 1. now rewrite (distinct_of_injective f I) in A. }
  assert (Len : length all_rows = 76%nat) by (vm_compute; reflexivity).
  pose proof M_positive as Mp.
  apply (exceeds_sound order all_rows at_truth (fun n => 20480 * IZR M *
    sample_loss 4 5 fifth D (col X n) (col Y n))) in Ex.
  - rewrite Len, sum_scal in Ex. unfold at_truth in Ex. rewrite !mult_IZR in Ex.
    apply Rmult_le_reg_l with (20480 * IZR M); lra.
  - intros n Hn. rewrite Len in Hn. split.
    + apply Rmult_le_pos; [lra|apply sample_loss_nonneg].
    + replace (nth n all_rows (0%Z, [])) with (row (at_sample n)).
      * apply sample_at_truth; auto.
        -- intros j Hj. rewrite Nth; auto.
        -- intros j k Hj Hk. rewrite !Nth by auto. apply I; auto.
        -- intros j Hj. rewrite Nth; auto.
      * unfold at_sample. rewrite <- (map_nth row). apply nth_indep.
        change (length (map row samples)) with 76%nat. exact Hn.
Qed.
